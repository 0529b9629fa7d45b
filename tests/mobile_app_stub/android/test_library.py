"""The Android app's library: compiled against stand-ins for Android and LiteRT, and run."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import Shared
from tests.mobile_app_stub.android.kotlin_standins import CLASSIFIER, standin_classes, write
from tests.mobile_app_stub.app_sources import (
    ANDROID,
    compiled,
    core_classes,
    kotlin,
    needs_kotlin,
    printed,
    replace,
)
from tests.paths import ROOT

LIBRARY = ANDROID / "classifier" / "src" / "main" / "kotlin"
STRICT = ("-Xexplicit-api=strict",)

README = """package readme%d
import android.graphics.ImageDecoder
import lesionlite.classifier.EmbeddedModel
import lesionlite.classifier.toInput
import lesionlite.core.Contract
import lesionlite.core.rank
fun embedded(context: android.content.Context, uri: android.net.Uri, show: (String) -> Unit) {
%s}
"""

# The library as another module sees it, on a phone that is a folder.
PHONE = """package behaviour
import android.content.ContentResolver
import android.content.Context
import android.content.SharedPreferences
import android.content.pm.PackageInfo
import android.content.pm.PackageManager
import android.content.res.AssetManager
import android.graphics.Bitmap
import android.graphics.ColorSpace
import android.graphics.ImageDecoder
import android.util.Size
import java.io.File
import java.io.IOException
import java.nio.ByteBuffer
import java.util.concurrent.Executor
import lesionlite.classifier.EmbeddedModel

class Notes : SharedPreferences, SharedPreferences.Editor {
    override fun getLong(key: String, default: Long) = default
    override fun getString(key: String, default: String?) = default
    override fun edit() = this
    override fun putLong(key: String, value: Long) = this
    override fun putString(key: String, value: String?) = this
    override fun remove(key: String) = this
    override fun apply() = Unit
    override fun commit() = true
}

class Phone(folder: File) : Context() {
    override val assets = object : AssetManager() {
        override fun open(name: String) = File(folder, name).inputStream()
    }
    override val packageManager = object : PackageManager() {
        override fun getPackageInfo(name: String, flags: Int) = PackageInfo()
        override fun hasSystemFeature(name: String) = true
    }
    override val packageName = "app"
    override val contentResolver = object : ContentResolver() {}
    override val mainExecutor = Executor { it.run() }
    override fun getSharedPreferences(name: String, mode: Int) = Notes()
    override fun getString(id: Int) = "sentence $id"
}

var step = 0

class Decoder : ImageDecoder() {
    override var allocator = 0
    override var isUnpremultipliedRequired = false
    override fun setTargetColorSpace(space: ColorSpace?) = Unit
    override fun setTargetSampleSize(size: Int) { step = size }
}

/** A plain photo whose header tells a size. */
fun photo(width: Int, height: Int) {
    ImageDecoder.decode = { listener ->
        val info = object : ImageDecoder.ImageInfo() { override val size = Size(width, height) }
        listener.onHeaderDecoded(Decoder(), info, ImageDecoder.createSource(ByteBuffer.allocate(0)))
        Bitmap.createBitmap(IntArray(64 * 48) { 0x808080 }, 64, 48, Bitmap.Config.ARGB_8888)
    }
}

fun report(name: String, act: () -> Any?) {
    val found = runCatching(act).getOrElse { "${it.javaClass.simpleName} ${it.message}" }
    println("$name: $found")
}

fun main(arguments: Array<String>) {
    val phone = Phone(File(arguments[0]))
    val source = ImageDecoder.createSource(ByteBuffer.allocate(0))
    photo(64, 48)
    report("no model") { EmbeddedModel(phone, "nowhere") }
    val model = EmbeddedModel(phone)
    report("start") { model.start().run { "$accelerator ${verdict.passed} $dropped" } }
    report("again") { model.start().run { "$accelerator ${verdict.passed} $dropped" } }
    if (arguments.size > 1) return
    report("photo") { model.classify(source).run { "${ranking.top} ${seen.width} $step" } }
    photo(12_000, 9000)
    report("large") { model.classify(source).run { "${ranking.top.size} $step" } }
    ImageDecoder.decode = { throw OutOfMemoryError("too much") }
    report("memory") { model.classify(source) }
    ImageDecoder.decode = { throw IOException("no image") }
    report("no image") { model.classify(source) }
}
"""


def lines_of(readme: Path) -> str:
    (lines,) = re.findall(r"```kotlin\n(val .*?)```", readme.read_text(), re.S)
    return str(lines)


def users(folder: Path) -> Path:
    """What uses the library as another module does."""
    write(folder, Behaviour=PHONE)
    for at, readme in enumerate((ROOT / "README.md", ANDROID / "README.md")):
        write(folder, **{f"Readme{at}": README % (at, lines_of(readme))})
    return folder


def library_sources(folder: Path) -> Path:
    return write(Path(shutil.copytree(LIBRARY, folder)), R=CLASSIFIER)


def compile_all(folder: Path, classes: tuple[Path, ...]) -> None:
    """The library, where every public thing must say that it is public; then its users."""
    compiled(library_sources(folder / "library-source"), folder / "library", *classes, flags=STRICT)
    source = users(folder / "users-source")
    compiled(source, folder / "users", folder / "library", *classes)


@pytest.fixture
def classes(shared: Shared) -> tuple[Path, ...]:
    """What the library is compiled against."""
    return standin_classes(shared), core_classes(shared)


@pytest.fixture
def built(shared: Shared, classes: tuple[Path, ...]) -> Path:
    """The folders of the library, of its users, and of their sources."""
    return shared("kotlin-library", lambda folder: compile_all(folder, classes))


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    """The assets of an app with a model that knows two classes."""
    contract = {
        "labels": ["a", "b"], "side": 32, "resize": "squash", "resize_side": 32,
        "interpolation": "bilinear", "antialias": True, "unsure_below": 0.5, "version": 1,
    }  # fmt: skip
    entry = {
        "sha256": hashlib.sha256(b"model").hexdigest(),
        "tolerance": 0.02,
        "probabilities": [[0.75, 0.25]],
    }
    golden = {"labels": ["a", "b"], "images": ["0.png"], "artifacts": {"m.bin": entry}}
    assets = tmp_path / "assets" / "model"
    (assets / "golden").mkdir(parents=True)
    (assets / "m.bin").write_bytes(b"model")
    (assets / "contract.json").write_text(json.dumps(contract))
    (assets / "golden" / "golden.json").write_text(json.dumps(golden))
    return assets.parent


TOP = "[Ranked(label=a, probability=0.75), Ranked(label=b, probability=0.25)]"
ON_A_PHONE = {
    "no model": "Problem sentence 1",
    "start": "NPU true []",
    "again": "NPU true []",
    "photo": f"{TOP} 32 1",
    "large": "2 2",  # every second pixel of 108 megapixels would be 27, within half the heap
    "memory": "Problem sentence 3",
    "no image": "IOException no image",
}
WITHOUT_LITERT = {
    "no model": "Problem sentence 1",
    "start": "Problem sentence 2",
    "again": "Problem sentence 2",
}
MISSING = ("-Dlitert=nothing",)


@pytest.mark.slow
@needs_kotlin
def test_the_library_on_a_phone_of_stand_ins(
    built: Path, classes: tuple[Path, ...], phone: Path
) -> None:
    folders = [built / "users", built / "library", *classes]
    assert printed(*folders, main=f"behaviour.BehaviourKt {phone}") == ON_A_PHONE
    start = f"behaviour.BehaviourKt {phone} start"
    assert printed(*folders, main=start, flags=MISSING) == WITHOUT_LITERT


@pytest.mark.slow
@needs_kotlin
def test_a_planted_fault_in_the_library_shows(
    built: Path, classes: tuple[Path, ...], phone: Path, tmp_path: Path
) -> None:
    library = library_sources(tmp_path / "library-source")
    replace(next(library.rglob("EmbeddedModel.kt")), "OutOfMemoryError", "StackOverflowError")
    replace(next(library.rglob("LiteRtRunner.kt")), "error: LinkageError", "error: VerifyError")
    compiled(library, tmp_path / "library", *classes, flags=STRICT)
    folders = [built / "users", tmp_path / "library", *classes]
    found = printed(*folders, main=f"behaviour.BehaviourKt {phone}")
    assert found == {**ON_A_PHONE, "memory": "OutOfMemoryError too much"}
    start = f"behaviour.BehaviourKt {phone} start"
    assert "it cannot run the model" in printed(*folders, main=start, flags=MISSING)["start"]


@pytest.mark.slow
@needs_kotlin
def test_planted_errors_of_types_are_found(
    built: Path, classes: tuple[Path, ...], tmp_path: Path
) -> None:
    library = library_sources(tmp_path / "library-source")
    replace(next(library.rglob("LiteRtRunner.kt")), "numThreads = threads", "threads = threads")
    replace(next(library.rglob("Photo.kt")), "public fun ", "fun ")
    done = kotlin(library, tmp_path / "library", *classes, flags=STRICT)
    assert done.returncode != 0
    for name, error in (("LiteRtRunner", "threads"), ("Photo", "explicit API mode")):
        assert re.search(rf"{name}\.kt:\d+:\d+: error.*{error}", done.stderr), done.stderr
    source = users(tmp_path / "users-source")
    replace(source / "Readme0.kt", "verdict.passed", "verdict.pased")
    replace(source / "Readme1.kt", "EmbeddedModel(", "EmbeddedModels(")
    done = kotlin(source, tmp_path / "users", built / "library", *classes)
    for name in ("Readme0", "Readme1"):
        assert re.search(rf"{name}\.kt:\d+:\d+: error", done.stderr), done.stderr
