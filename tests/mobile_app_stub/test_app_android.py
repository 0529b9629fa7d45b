"""The Android app: its core compiled and tested, the rest parsed, linted and searched.

Android's SDK is not needed. Kotlin's compiler and ktlint come from npm packages in the cache
folder, which the app's README tells how to make.
"""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import tree_sitter_kotlin

from lesionlite.mobile_app_stub.embed import APPS, embed
from lesionlite.train.data.cache import cache_folder
from tests.conftest import Shared
from tests.mobile_app_stub.app_sources import STUB, replace, syntax_errors
from tests.mobile_app_stub.kotlin_standins import FILES
from tests.paths import ROOT

ANDROID = STUB / "android"
CORE = Path("core") / "src"
MAIN = Path("app") / "src" / "main"
TOOLS = cache_folder() / "kotlin" / "node_modules"
KOTLIN = TOOLS / "kotlin-compiler" / "lib"
KTLINT = TOOLS / "@naturalcycles" / "ktlint" / "resources" / "ktlint"
JARS = [
    Path("/usr/share/java") / f"{name}.jar" for name in ("com.android.json", "junit4", "hamcrest")
]

has_java = shutil.which("java") is not None
needs_kotlin = pytest.mark.skipif(
    not (has_java and KOTLIN.is_dir() and all(jar.is_file() for jar in JARS)),
    reason=f"no Java, no Kotlin in {TOOLS}, or no JUnit: see mobile_app_stub/android/README.md",
)
needs_ktlint = pytest.mark.skipif(
    not (has_java and KTLINT.is_file()),
    reason=f"no Java, or no ktlint in {TOOLS}: see mobile_app_stub/android/README.md",
)


def java(*arguments: str, cwd: Path = ANDROID) -> "subprocess.CompletedProcess[str]":
    run = ["java", *arguments]
    return subprocess.run(run, cwd=cwd, capture_output=True, text=True, timeout=300)


def class_path(*folders: Path) -> str:
    kotlin = [KOTLIN / f"{name}.jar" for name in ("kotlin-stdlib", "kotlin-test")]
    return ":".join(map(str, [*folders, *JARS, *kotlin, KOTLIN / "kotlin-test-junit.jar"]))


def kotlin(source: Path, out: Path, *classes: Path) -> "subprocess.CompletedProcess[str]":
    compiler = ["-cp", str(KOTLIN / "kotlin-compiler.jar")]
    compiler += ["org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-kotlin-home", str(KOTLIN.parent)]
    flags = ["-Werror", "-Wextra", "-progressive", "-no-stdlib", "-no-reflect", "-jvm-target", "17"]
    names = ["-module-name", "core", "-cp", class_path(*classes), "-d", str(out), str(source)]
    return java("-Xmx1g", *compiler, *flags, *names)


def compile_core(source: Path, out: Path) -> None:
    done = kotlin(source, out)
    assert done.returncode == 0, done.stderr


def unit_tests(name: str, *classes: Path, app: Path = ANDROID) -> str:
    """What JUnit prints of a class of tests; `app` may be one that is filled."""
    given = [f"-Dcases={STUB / 'cases.json'}", f"-Dmodel={app / APPS['android'].assets}"]
    run = [*given, "-cp", class_path(*classes), "org.junit.runner.JUnitCore"]
    return java(*run, f"lesionlite.core.{name}").stdout


@pytest.fixture
def classes(shared: Shared) -> Path:
    """The core and its tests, compiled."""
    return shared("kotlin-core", lambda folder: compile_core(ANDROID / CORE, folder))


# What is wrong, and which test must find it; the compiler is slow, so all but one share a copy.
FAULTS = {
    "together": [
        ("Preprocessor.kt", "round(it * scale)", "(it * scale + 0.5)", "geometry"),
        ("Ranking.kt", "< contract.unsureBelow", "< 0", "ranking"),
        ("Rejection.kt", "side / 4 until", "side / 3 until", "images of another kind"),
        ("Golden.kt", "else Double.NaN", "else 0.0", "golden answers"),
        ("Contract.kt", "side >= MIN_SIDE", "side >= 0", "contracts"),
        ("Golden.kt", "verdict.passed -> null", "true -> null", "one answer for every image"),
        ("Selector.kt", "log.crashed(accelerator)", "last", "an accelerator that crashed"),
    ],
    "filter": [("Preprocessor.kt", "max(scale, 1.0)", "1.0", "inputs")],
}


@pytest.mark.slow
@needs_kotlin
def test_the_core_agrees_with_the_reference(classes: Path) -> None:
    printed = unit_tests("CasesTest", classes)
    assert "OK (10 tests)" in printed, printed


@pytest.mark.slow
@needs_kotlin
def test_the_self_test_chooses_the_accelerator(classes: Path) -> None:
    printed = unit_tests("SelectorTest", classes)
    assert "OK (9 tests)" in printed, printed


@pytest.mark.slow
@needs_kotlin
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_fails(name: str, classes: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(ANDROID / CORE / "main", tmp_path / "main"))
    for file, right, wrong, _ in FAULTS[name]:
        replace(next(source.rglob(file)), right, wrong)
    compile_core(source, tmp_path / "out")
    printed = unit_tests("CasesTest", tmp_path / "out", classes)  # the tests are in the latter
    printed += unit_tests("SelectorTest", tmp_path / "out", classes)
    for *_, test in FAULTS[name]:
        assert re.search(rf"^\d+\) {test}", printed, re.MULTILINE), (test, printed)


@needs_kotlin
def test_the_core_reads_what_embed_places(classes: Path, artifacts: Path, tmp_path: Path) -> None:
    app = tmp_path / "app"
    made = embed(artifacts, "android", app, "w8a8")
    assert (app / "cases.json").is_file() and (app / "settings.gradle.kts").is_file()
    printed = unit_tests("EmbeddedTest", classes, app=app)
    assert "OK (1 test)" in printed, printed
    model = app / APPS["android"].assets / made.artifacts[0].artifact
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    assert "is damaged" in unit_tests("EmbeddedTest", classes, app=app)
    folder = Path(APPS["android"].assets).name
    (opener,) = ANDROID.rglob("EmbeddedModel.kt")
    assert f'FOLDER = "{folder}"' in opener.read_text()


MODEL = ("Attempts", "EmbeddedModel", "LiteRtRunner", "Photo", "Preference")
README = """package lesionlite.app
import android.graphics.ImageDecoder
import lesionlite.core.rank
fun embedded(context: android.content.Context, uri: android.net.Uri, show: (String) -> Unit) {
%s}
"""


@pytest.mark.slow
@needs_kotlin
def test_the_apps_model_type_checks_against_stand_ins(classes: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, text in FILES.items():
        (source / f"Stand{name}.kt").write_text(text, encoding="utf-8")
    (folder,) = (ANDROID / MAIN).rglob("app")
    for name in MODEL:
        shutil.copy(folder / f"{name}.kt", source)
    (lines,) = re.findall(r"```kotlin\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    (source / "Readme.kt").write_text(README % lines, encoding="utf-8")
    done = kotlin(source, tmp_path / "out", classes)
    assert done.returncode == 0, done.stderr
    replace(source / "LiteRtRunner.kt", "numThreads = threads", "threads = threads")
    replace(source / "Preference.kt", "value?.name", "value")
    replace(source / "Readme.kt", "verdict.passed", "verdict.pased")
    done = kotlin(source, tmp_path / "planted", classes)
    assert done.returncode != 0
    for name in ("LiteRtRunner", "Preference", "Readme"):
        assert re.search(rf"{name}\.kt:\d+:\d+: error", done.stderr), done.stderr


@pytest.mark.slow
@needs_ktlint
def test_the_code_is_formatted(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(ANDROID, tmp_path / "android"))
    lint = ["-jar", str(KTLINT), "**/*.kt", "**/*.kts"]
    done = java(*lint, cwd=copy)
    assert done.returncode == 0, done.stdout
    replace(next(copy.rglob("Theme.kt")), "    val dark", "  val dark")
    done = java(*lint, cwd=copy)
    assert done.returncode == 1 and "standard:indent" in done.stdout


def sources(folder: Path = ANDROID) -> list[Path]:
    found = sorted(path for path in folder.rglob("*.kt*") if "build" not in path.parts)
    assert found
    return found


@pytest.mark.parametrize("file", sources(), ids=lambda file: str(file.relative_to(ANDROID)))
def test_every_file_parses_and_is_short(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert not syntax_errors(tree_sitter_kotlin, text)
    assert syntax_errors(tree_sitter_kotlin, text + "\nfun {"), "an error must be found"
    assert len(text.splitlines()) < 300


def test_the_lines_of_the_readmes_parse() -> None:
    for readme in (STUB.parent / "README.md", ANDROID / "README.md"):
        (lines,) = re.findall(r"```kotlin\n(.*?)```", readme.read_text(), re.DOTALL)
        assert not syntax_errors(tree_sitter_kotlin, lines)


def unused_imports(text: str) -> list[str]:
    """Names that are imported and not written again; delegates call two unseen."""
    imported = re.findall(r"^import .*?(\w+)$", text, re.MULTILINE)
    rest = re.sub(r"^import .*$", "", text, flags=re.MULTILINE)
    unseen = {"getValue", "setValue"} if " by " in rest else set()
    return [n for n in imported if n not in unseen and not re.search(rf"\b{n}\b", rest)]


def test_every_import_is_used() -> None:
    for file in sources():
        assert not unused_imports(file.read_text(encoding="utf-8")), file
    assert unused_imports("import a.B\nimport a.C\nval x: B") == ["C"]


def test_packages_are_those_of_the_folders() -> None:
    for file in ANDROID.rglob("*.kt"):
        (package,) = re.findall(r"^package (\S+)$", file.read_text(), re.MULTILINE)
        assert file.parent.as_posix().endswith("/kotlin/" + package.replace(".", "/")), file


def test_the_core_knows_nothing_of_android() -> None:
    for file in sources(ANDROID / CORE / "main"):
        for name in re.findall(r"^import (\S+)", file.read_text(), re.MULTILINE):
            assert name.startswith(("kotlin.", "java.", "org.json.")), (file, name)


def forbidden(text: str) -> list[str]:
    """Words of networks and of models."""
    network = r"java\.net\.|okhttp|HttpURLConnection|Socket|WebView"
    model = r"Melanoma|Monkeypox|Nevus|mobilevit|(?<!SHA-)\b(?:224|256|384)\b|\.tflite\b"
    return re.findall(f"{network}|{model}", text)


def test_no_network_and_no_constant_of_a_model_in_the_code() -> None:
    for file in sources(ANDROID / MAIN) + sources(ANDROID / CORE / "main"):
        assert not forbidden(file.read_text(encoding="utf-8")), file
    for planted in ("java.net.URL", "val side = 224", '"Melanoma"', '"model.tflite"'):
        assert forbidden(planted)


def catalogue_problems(catalogue: dict[str, Any], scripts: str) -> set[str]:
    """What is used and not listed, or listed and not used; `scripts` are the build files' texts."""

    def accessors(name: str) -> set[str]:
        return {re.sub("[-_]", ".", key) for key in catalogue[name]}

    versions = set(re.findall(r"libs\.versions\.([\w.]+)\.get\(\)", scripts))
    plugins = set(re.findall(r"alias\(libs\.plugins\.([\w.]+)\)", scripts))
    libraries = set(re.findall(r"\(libs\.(?!plugins\.|versions\.)([\w.]+)\)", scripts))
    entries = [*catalogue["libraries"].values(), *catalogue["plugins"].values()]
    versions |= {
        entry["version"]["ref"].replace("-", ".") for entry in entries if "version" in entry
    }
    return (
        (versions ^ accessors("versions"))
        | (plugins ^ accessors("plugins"))
        | (libraries ^ accessors("libraries"))
    )


def test_the_version_catalogue_and_the_build_files_agree() -> None:
    catalogue = tomllib.loads((ANDROID / "gradle" / "libs.versions.toml").read_text())
    scripts = "\n".join(path.read_text() for path in ANDROID.rglob("*.gradle.kts"))
    assert not catalogue_problems(catalogue, scripts)
    assert not re.search(r"\"[\w.-]+:[\w.-]+:[\d.]+\"|version \"", scripts), "a version elsewhere"
    without = scripts.replace("implementation(libs.litert)", "")
    assert catalogue_problems(catalogue, without) == {"litert"}
    more = scripts + "implementation(libs.okhttp)"
    assert catalogue_problems(catalogue, more) == {"okhttp"}
    pinned = {name for name, entry in catalogue["libraries"].items() if "version" not in entry}
    assert pinned == {"compose-material3"}, "the others are not in the bill of materials"
    modules = re.findall(r"\":(\w+)\"", (ANDROID / "settings.gradle.kts").read_text())
    assert all((ANDROID / module / "build.gradle.kts").is_file() for module in modules)


def defined(kind: str) -> Iterator[str]:
    for file in (ANDROID / MAIN / "res").rglob("*.xml"):
        if file.parent.name.split("-")[0] == kind:
            yield file.stem
        for node in ElementTree.parse(file).getroot():
            if node.tag == kind:
                yield node.attrib["name"]


def resource_problems(text: str) -> set[str]:
    """Resources that are used and not there, or there and not used; `text` is all that uses any."""
    problems = set()
    for kind in ("string", "style", "color", "drawable", "mipmap"):
        problems |= set(re.findall(rf"(?:R\.{kind}\.|@{kind}/)([\w.]+)", text)) ^ set(defined(kind))
    return problems


def test_every_resource_is_there_and_used() -> None:
    files = [*(ANDROID / MAIN).rglob("*.kt"), *(ANDROID / MAIN).rglob("*.xml")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    assert not resource_problems(text)
    assert resource_problems(text + "R.string.diagnosis") == {"diagnosis"}
    assert resource_problems(text.replace("R.string.take)", "")) == {"take"}


ANDROID_NAME = "{http://schemas.android.com/apk/res/android}name"


def asked(manifest: str) -> set[str]:
    """Permissions that the app would have."""
    return {
        item.attrib[ANDROID_NAME].rsplit(".", 1)[1]
        for item in ElementTree.fromstring(manifest).iter("uses-permission")
        if item.get("{http://schemas.android.com/tools}node") != "remove"
    }


def hiding(manifest: str) -> set[str]:
    """Features that the permission for the camera implies, and that the app does not do without.

    Google Play hides the app from devices that lack one; see "Permissions that imply feature
    requirements" in Android's documentation of <uses-feature>.
    """
    root = ElementTree.fromstring(manifest)
    required = "{http://schemas.android.com/apk/res/android}required"
    free = {
        feature.attrib[ANDROID_NAME]
        for feature in root.iter("uses-feature")
        if feature.get(required) == "false"
    }
    return {"android.hardware.camera", "android.hardware.camera.autofocus"} - free


def test_no_device_is_hidden_for_its_camera() -> None:
    manifest = (ANDROID / MAIN / "AndroidManifest.xml").read_text()
    assert not hiding(manifest)
    lacking = manifest.replace('"android.hardware.camera"', '"android.hardware.camera.front"')
    assert hiding(lacking) == {"android.hardware.camera"}
    assert len(hiding(manifest.replace('required="false"', 'required="true"'))) == 2


def test_the_manifest_asks_for_the_camera_and_keeps_the_network_out() -> None:
    manifest = (ANDROID / MAIN / "AndroidManifest.xml").read_text()
    assert asked(manifest) == {"CAMERA"} and "android.permission.INTERNET" in manifest
    assert "INTERNET" in asked(manifest.replace('tools:node="remove"', ""))
    (activity,) = ElementTree.fromstring(manifest).iter("activity")
    build = (ANDROID / "app" / "build.gradle.kts").read_text()
    (namespace,) = re.findall(r'namespace = "(.+)"', build)
    path = ANDROID / MAIN / "kotlin" / namespace.replace(".", "/") / "MainActivity.kt"
    assert activity.attrib[ANDROID_NAME] == ".MainActivity" and path.is_file()
