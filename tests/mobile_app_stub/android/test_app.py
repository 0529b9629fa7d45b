"""The Android app: its core compiled and tested, and every source parsed, linted and searched.

Android's SDK is not needed. Kotlin's compiler and ktlint come from npm packages in the cache
folder, which the app's README tells how to make. The library, the screens and what Gradle reads
have tests of their own beside this.
"""

import re
import shutil
from pathlib import Path

import pytest
import tree_sitter_kotlin

from lesionlite.mobile_app_stub.embed import APPS, embed
from lesionlite.mobile_app_stub.identity import Identity
from tests.conftest import Shared
from tests.mobile_app_stub.app_sources import (
    ANDROID,
    STUB,
    TOOLS,
    class_path,
    compiled,
    core_classes,
    has_java,
    java,
    needs_kotlin,
    replace,
    syntax_errors,
)

CORE = Path("core") / "src"
MODULES = ("app", "classifier", "core")
KTLINT = TOOLS / "@naturalcycles" / "ktlint" / "resources" / "ktlint"

needs_ktlint = pytest.mark.skipif(
    not (has_java and KTLINT.is_file()),
    reason=f"no Java, or no ktlint in {TOOLS}: see mobile_app_stub/android/README.md",
)


def unit_tests(name: str, *classes: Path, app: Path = ANDROID) -> str:
    """What JUnit prints of a class of tests; `app` may be one that is filled."""
    given = [f"-Dcases={STUB / 'cases.json'}", f"-Dmodel={app / APPS['android'].assets}"]
    run = [*given, "-cp", class_path(*classes), "org.junit.runner.JUnitCore"]
    return java(*run, f"lesionlite.core.{name}").stdout


@pytest.fixture
def classes(shared: Shared) -> Path:
    """The core and its tests, compiled."""
    return core_classes(shared)


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
        ("Selector.kt", "throw problem", "problem.message", "a problem of every accelerator"),
        ("Contract.kt", "share * exp(shift)", "share + shift", "an adjusted contract"),
        ("Contract.kt", "numbers.size == found.size", "true", "shares that do not fit"),
        ("Sampling.kt", "heap / 2", "heap", "photos are sampled"),
    ],
    "filter": [("Preprocessor.kt", "max(scale, 1.0)", "1.0", "inputs")],
}


# What the reference's cases say; which accelerator is chosen; operating point and a phone's memory.
@pytest.mark.slow
@needs_kotlin
@pytest.mark.parametrize(
    ("tests", "number"), [("CasesTest", 10), ("SelectorTest", 10), ("OperatingPointTest", 4)]
)
def test_the_cores_own_tests_pass(tests: str, number: int, classes: Path) -> None:
    printed = unit_tests(tests, classes)
    assert f"OK ({number} tests)" in printed, printed


@pytest.mark.slow
@needs_kotlin
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_fails(name: str, classes: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(ANDROID / CORE / "main", tmp_path / "main"))
    for file, right, wrong, _ in FAULTS[name]:
        replace(next(source.rglob(file)), right, wrong)
    compiled(source, tmp_path / "out")
    printed = "".join(
        unit_tests(test, tmp_path / "out", classes)  # the tests are in the latter
        for test in ("CasesTest", "SelectorTest", "OperatingPointTest")
    )
    for *_, test in FAULTS[name]:
        assert re.search(rf"^\d+\) {test}", printed, re.MULTILINE), (test, printed)


@needs_kotlin
def test_the_core_reads_what_embed_places(classes: Path, artifacts: Path, tmp_path: Path) -> None:
    app = tmp_path / "app"
    made = embed(artifacts, "android", app, "w8a8", identity=Identity("org.clinic.skin"))
    assert (app / "cases.json").is_file() and (app / "settings.gradle.kts").is_file()
    printed = unit_tests("EmbeddedTest", classes, app=app)
    assert "OK (1 test)" in printed, printed
    model = app / APPS["android"].assets / made.artifacts[0].artifact
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    assert "is damaged" in unit_tests("EmbeddedTest", classes, app=app)
    folder = Path(APPS["android"].assets).name
    (opener,) = ANDROID.rglob("EmbeddedModel.kt")
    assert f'folder: String = "{folder}"' in opener.read_text()


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
        blocks = re.findall(r"```kotlin\n(.*?)```", readme.read_text(), re.DOTALL)
        assert blocks
        for lines in blocks:
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
    for module in MODULES:
        for file in sources(ANDROID / module / "src" / "main"):
            assert not forbidden(file.read_text(encoding="utf-8")), file
    for planted in ("java.net.URL", "val side = 224", '"Melanoma"', '"model.tflite"'):
        assert forbidden(planted)
