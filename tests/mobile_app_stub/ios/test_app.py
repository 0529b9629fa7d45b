"""The iOS app and LesionKit: the core compiled and tested, the rest type-checked and formatted.

Apple's SDK is not needed. Off a Mac, Swift comes from a Debian system in the cache folder, which
the app's README tells how to make.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from lesionlite.caching import cache_folder
from tests.mobile_app_stub.app_sources import STUB, fault
from tests.mobile_app_stub.ios.swift_standins import MODULES

ROOT = STUB.parent
IOS = STUB / "ios"
APP = Path("LesionLite.swiftpm")
KIT = APP / "LesionKit"
CORE = KIT / "Sources" / "LesionCore"
SYSTEM = cache_folder() / "swift"
# In a namespace of its own, so that nothing stays mounted.
ENTER = 'mount --bind "$1" "$2/mnt" && mount -t proc proc "$2/proc" && exec chroot "$2" sh -c "$3"'

has_swift = shutil.which("swift") is not None
has_system = (SYSTEM / "usr/libexec/swift/bin/swift").is_file() and os.geteuid() == 0
needs_swift = pytest.mark.skipif(
    not has_swift and not has_system,
    reason=f"no swift here, and no Swift in {SYSTEM} for root: see mobile_app_stub/ios/README.md",
)


def swift(ios: Path, folder: Path, command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in a folder of a copy of the app."""
    if has_swift:
        run, place = ["sh", "-c", command], ios / folder
    else:
        inside = f"cd /mnt/{folder} && {command}"
        run, place = ["unshare", "--mount", "sh", "-c", ENTER, "sh", str(ios), str(SYSTEM)], ios
        run.append(inside)
    return subprocess.run(run, cwd=place, capture_output=True, text=True, timeout=300)


def unit_tests(ios: Path) -> "subprocess.CompletedProcess[str]":
    return swift(ios, KIT, "swift test -Xswiftc -warnings-as-errors 2>&1")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `lesionlite embed` lays it out."""
    copy = shutil.copytree(
        IOS, tmp_path_factory.mktemp("app") / "ios", ignore=shutil.ignore_patterns(".build")
    )
    shutil.copy(STUB / "cases.json", copy)
    return Path(copy)


@contextmanager
def faults(folder: Path, planted: Mapping[str, tuple[str, str, str]]) -> Iterator[None]:
    """Plant all of them, because each compilation takes long. Each has a test to fail."""
    with ExitStack() as stack:
        for file, right, wrong in planted.values():
            stack.enter_context(fault(folder / file, right, wrong))
        yield


def failed(said: str) -> set[str]:
    return set(re.findall(r"Test Case '\w+\.(\w+)' failed", said))


FAULTS = {
    "testGeometry": ("Preprocess.swift", ".toNearestOrEven", ".up"),
    "testInputsAreEqualToTheByte": ("Preprocess.swift", "max(scale, 1)", "1.0"),
    "testImagesOfAnotherKind": ("Rejection.swift", "side / 4..<", "side / 3..<"),
    "testGoldenAnswersPassWithinTheToleranceAndFailBeyond": (
        "Golden.swift",
        " ?? .nan : .nan",
        " ?? .nan : 0",
    ),
    "testOnlyPhotosOfMoreThan32MegapixelsAreReduced": (
        "Sampling.swift",
        "count <= pixels",
        "count > 0",
    ),
    "testTheModelAnswersForTheFrequenciesThatItsAdjustmentMakes": (
        "Contract.swift",
        "$0 * exp($1)",
        "$0 + 0 * $1",
    ),
}


@pytest.mark.slow
@needs_swift
def test_the_core_agrees_with_the_reference_and_planted_faults_do_not(copy: Path) -> None:
    """One test, so that one process has the core compiled once."""
    done = unit_tests(copy)
    assert done.returncode == 0, done.stdout
    assert "Executed 14 tests, with 0 failures" in done.stdout
    with faults(copy / CORE, FAULTS):
        done = unit_tests(copy)
    assert done.returncode != 0 and set(FAULTS) <= failed(done.stdout), done.stdout


MAKE_MODULES = """set -e
compile() { swiftc -parse-as-library -I . -emit-module "$@"; }
for name in %s; do
  compile -suppress-warnings -module-name $name $name.swift -o $name.swiftmodule
done
compile -module-name LesionCore ../%s/*.swift -o LesionCore.swiftmodule
"""
CHECK_ALL = """set -e
check() { swiftc -parse-as-library -I . -warnings-as-errors -swift-version %d "$@"; }
kit=../%s
check -emit-module -enable-testing -module-name LesionClassifier \\
  $kit/Sources/LesionClassifier/*.swift -o LesionClassifier.swiftmodule
check -typecheck $kit/Tests/LesionClassifierTests/*.swift
check -typecheck ../%s/App/*.swift
"""
README = """import Foundation
import UIKit
%s
func embedded(_ file: Data, _ photo: UIImage) async throws {
%s}
"""


def check_all(copy: Path, version: int) -> "subprocess.CompletedProcess[str]":
    """Check LesionClassifier, its tests and the app in one mode of the language."""
    script = CHECK_ALL % (version, KIT, APP)
    (copy / "modules" / "check.sh").write_text(script, encoding="utf-8")
    return swift(copy, Path("modules"), "sh check.sh 2>&1")


def check_lines(copy: Path, lines: str) -> "subprocess.CompletedProcess[str]":
    """Check what a README shows, in a file of its own, which only sees what is public."""
    imports = "".join(f"{line}\n" for line in lines.splitlines() if line.startswith("import "))
    rest = "".join(f"{line}\n" for line in lines.splitlines() if not line.startswith("import "))
    imports = imports or "import LesionClassifier\n"
    (copy / "modules" / "Readme.swift").write_text(README % (imports, rest), encoding="utf-8")
    check = "swiftc -parse-as-library -I . -typecheck -warnings-as-errors Readme.swift 2>&1"
    return swift(copy, Path("modules"), check)


@pytest.mark.slow
@needs_swift
def test_all_type_checks_against_stand_ins(copy: Path) -> None:
    """In Swift 5, which the packages ask for, and in Swift 6, which is stricter with actors."""
    modules = copy / "modules"
    modules.mkdir()
    for name, text in MODULES.items():
        (modules / f"{name}.swift").write_text(text, encoding="utf-8")
    (modules / "make.sh").write_text(MAKE_MODULES % (" ".join(MODULES), CORE), encoding="utf-8")
    done = swift(copy, Path("modules"), "sh make.sh 2>&1")
    assert done.returncode == 0, done.stdout
    for version in (6, 5):
        done = check_all(copy, version)
        assert done.returncode == 0, done.stdout
    for readme in (ROOT / "README.md", IOS / "README.md"):
        (lines,) = re.findall(r"```swift\n(.*?)```", readme.read_text(encoding="utf-8"), re.S)
        done = check_lines(copy, lines)
        assert done.returncode == 0, done.stdout
    assert check_lines(copy, lines.replace(".ranking", ".rank")).returncode != 0
    with fault(
        copy / KIT / "Sources/LesionClassifier/Classifier.swift", ".scaleFill", ".scaleFull"
    ):
        done = check_all(copy, 5)
    assert done.returncode != 0 and "scaleFull" in done.stdout


@needs_swift
def test_the_package_manager_reads_the_package(copy: Path) -> None:
    """But for the product: what an iOS application is, Xcode alone knows."""
    (copy / APP / "App" / "Model").mkdir()
    manifest = copy / APP / "Package.swift"
    text = manifest.read_text(encoding="utf-8")
    plain, count = re.subn(r"    products: \[\n.*?\n    \],\n", "", text, flags=re.DOTALL)
    assert count == 1
    with fault(manifest, text, plain.replace("import AppleProductTypes\n", "")):
        app = describe(copy, APP)
    (target,) = app["targets"]
    assert target["product_dependencies"] == ["LesionClassifier", "LesionCore"]
    assert "LesionLiteApp.swift" in target["sources"]
    resources = {Path(row["path"]).name: row["rule"] for row in target["resources"]}
    assert "copy" in resources["Model"]
    assert {"NOTICE.txt", "Localizable.strings"} < set(resources)

    assert [row["name"] for row in describe(copy, KIT)["products"]] == ["LesionCore"]
    with fault(copy / KIT / "Package.swift", "#if canImport(Darwin)", "#if true"):
        kit = describe(copy, KIT)
    assert {row["name"] for row in kit["products"]} == {"LesionCore", "LesionClassifier"}
    sources = {row["name"]: row["sources"] for row in kit["targets"]}
    assert "Photo.swift" in sources["LesionClassifier"]
    assert "PhotoTests.swift" in sources["LesionClassifierTests"]


def describe(copy: Path, package: Path) -> Any:
    done = swift(copy, package, "swift package describe --type json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_swift
def test_the_code_is_formatted(copy: Path) -> None:
    lint = "swift format lint --strict --recursive LesionLite.swiftpm 2>&1"
    done = swift(copy, Path(), lint)
    assert done.returncode == 0, done.stdout
    with fault(copy / APP / "App" / "LesionLiteApp.swift", "        WindowGroup", "WindowGroup"):
        done = swift(copy, Path(), lint)
    assert done.returncode != 0 and "[Indentation]" in done.stdout


SAY = """
for language in [["de-AT", "en"], ["fr-FR"], ["fr", "en-GB", "de"]] {
    let folder = Texts.folder(language)
    print(folder.localizedString(forKey: "no_photo", value: nil, table: nil))
    let problem = "This file holds no image."
    print(folder.localizedString(forKey: problem, value: problem, table: "Problems"))
}
print(Texts.text("times", "1 ms", "2 ms"))
print(Texts.problem("Of an unknown kind."))
print(Texts.notice.count)
"""


@pytest.mark.slow
@needs_swift
def test_texts_come_in_the_language_of_the_user_or_in_english(copy: Path) -> None:
    """Linux's Foundation reads the same files; where Xcode places them, only a Mac can show."""
    folder = copy / "texts"
    shutil.copytree(copy / APP / "App" / "Resources", folder / "LesionLite_AppModule.bundle")
    (folder / "main.swift").write_text(SAY, encoding="utf-8")
    done = swift(copy, Path("texts"), f"swiftc ../{APP}/App/Texts.swift main.swift -o say && ./say")
    assert done.returncode == 0, done.stderr
    english = ["No photo yet", "This file holds no image."]
    assert done.stdout.splitlines()[:6] == [
        "Noch kein Foto",
        "Diese Datei enthält kein Bild.",
        *english,
        *english,
    ]
    assert done.stdout.splitlines()[6:8] == [
        "Prepared in 1 ms, classified in 2 ms",
        "Of an unknown kind.",
    ]
    assert int(done.stdout.splitlines()[8]) > 20
