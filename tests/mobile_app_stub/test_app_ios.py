"""The iOS app: its core compiled and tested, the rest type-checked, parsed, formatted, searched.

Apple's SDK is not needed. Off a Mac, Swift comes from a Debian system in the cache folder, which
the app's README tells how to make.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import tree_sitter_swift

from lesionlite.train.data.cache import cache_folder
from tests.mobile_app_stub.app_sources import STUB, fault, syntax_errors
from tests.mobile_app_stub.swift_standins import MODULES

ROOT = STUB.parent
IOS = STUB / "ios"
APP = Path("LesionLite.swiftpm")
CORE = APP / "Core"
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
    return swift(ios, CORE, "swift test -Xswiftc -warnings-as-errors 2>&1")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `lesionlite embed` lays it out."""
    copy = shutil.copytree(
        IOS, tmp_path_factory.mktemp("app") / "ios", ignore=shutil.ignore_patterns(".build")
    )
    shutil.copy(STUB / "cases.json", copy)
    return Path(copy)


FAULTS = {
    "halves rounded up": ("Preprocess.swift", ".toNearestOrEven", ".up"),
    "a narrow filter": ("Preprocess.swift", "max(scale, 1)", "1.0"),
    "another middle": ("Rejection.swift", "side / 4..<", "side / 3..<"),
    "NaN passes": ("Golden.swift", " ?? .nan : .nan", " ?? .nan : 0"),
}


@pytest.mark.slow
@needs_swift
def test_the_core_agrees_with_the_reference_and_planted_faults_do_not(copy: Path) -> None:
    """One test, so that one process has the core compiled once."""
    done = unit_tests(copy)
    assert done.returncode == 0, done.stdout
    assert "Executed 11 tests, with 0 failures" in done.stdout
    for name, (file, right, wrong) in FAULTS.items():
        with fault(copy / CORE / "Sources" / "LesionCore" / file, right, wrong):
            done = unit_tests(copy)
        assert done.returncode != 0 and "CoreTests.swift" in done.stdout, (name, done.stdout)


MAKE_MODULES = """set -e
compile() { swiftc -parse-as-library -I . "$@"; }
for name in %s; do
  compile -emit-module -suppress-warnings -module-name $name $name.swift -o $name.swiftmodule
done
compile -emit-module -module-name LesionCore ../%s/Sources/LesionCore/*.swift \\
  -o LesionCore.swiftmodule
"""
README = """import UIKit
func embedded(_ photo: UIImage) async throws {
%s}
"""
CHECK = "swiftc -parse-as-library -I . -typecheck -warnings-as-errors -swift-version %d %s 2>&1"


@pytest.mark.slow
@needs_swift
def test_the_app_type_checks_against_stand_ins(copy: Path) -> None:
    """In Swift 5, which the package asks for, and in Swift 6, which is stricter with actors."""
    modules, app = copy / "modules", f"../{APP}/App/*.swift"
    modules.mkdir()
    for name, text in MODULES.items():
        (modules / f"{name}.swift").write_text(text, encoding="utf-8")
    (modules / "make.sh").write_text(MAKE_MODULES % (" ".join(MODULES), CORE), encoding="utf-8")
    done = swift(copy, Path("modules"), "sh make.sh 2>&1")
    assert done.returncode == 0, done.stdout
    for version in (5, 6):
        done = swift(copy, Path("modules"), CHECK % (version, app))
        assert done.returncode == 0, done.stdout
    for readme in (ROOT / "README.md", IOS / "README.md"):
        (lines,) = re.findall(r"```swift\n(.*?)```", readme.read_text(), re.S)
        (copy / APP / "App" / "Readme.swift").write_text(README % lines)
        done = swift(copy, Path("modules"), CHECK % (5, app))
        assert done.returncode == 0, done.stdout
        (copy / APP / "App" / "Readme.swift").unlink()
    with fault(copy / APP / "App" / "Classifier.swift", ".scaleFill", ".scaleFull"):
        done = swift(copy, Path("modules"), CHECK % (5, app))
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
        done = swift(copy, APP, "swift package describe --type json")
    assert done.returncode == 0, done.stderr
    (target,) = json.loads(done.stdout)["targets"]
    assert target["product_dependencies"] == ["LesionCore"]
    assert "LesionLiteApp.swift" in target["sources"]
    (resource,) = target["resources"]
    assert resource["path"].endswith("App/Model") and "copy" in resource["rule"]


@needs_swift
def test_the_code_is_formatted(copy: Path) -> None:
    lint = "swift format lint --strict --recursive LesionLite.swiftpm 2>&1"
    done = swift(copy, Path(), lint)
    assert done.returncode == 0, done.stdout
    with fault(copy / APP / "App" / "LesionLiteApp.swift", "        WindowGroup", "WindowGroup"):
        done = swift(copy, Path(), lint)
    assert done.returncode != 0 and "[Indentation]" in done.stdout


def sources(folder: Path = IOS) -> list[Path]:
    found = sorted(path for path in folder.rglob("*.swift") if ".build" not in path.parts)
    assert found
    return found


@pytest.mark.parametrize("file", sources(), ids=lambda file: file.name)
def test_every_file_parses(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert not syntax_errors(tree_sitter_swift, text)
    assert syntax_errors(tree_sitter_swift, text + "\nfunc {"), "an error must be found"


def forbidden(text: str) -> list[str]:
    """Words of networks and of models."""
    network = r"\b(?:URLSession|URLRequest|NW\w+|Network|CFNetwork|WebKit|WKWebView|https?)\b"
    model = r"Melanoma|Monkeypox|Nevus|mobilevit|\b(?:224|256|384|0\.5)\b|mlpackage\b"
    return re.findall(f"{network}|{model}", text)


def test_no_network_and_no_constant_of_a_model_in_the_code() -> None:
    for file in sources(IOS / APP / "App") + sources(IOS / CORE / "Sources"):
        text = file.read_text(encoding="utf-8")
        allowed = {"0.5"} if file.name == "Preprocess.swift" else set()  # half a pixel
        assert set(forbidden(text)) <= allowed, file
    for planted in ("URLSession.shared", "let side = 224", '"Melanoma"', "import Network"):
        assert forbidden(planted)


def imports(file: Path) -> set[str]:
    return set(re.findall(r"^import (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE))


def test_the_core_needs_foundation_and_nothing_else() -> None:
    for file in sources(IOS / CORE / "Sources"):
        assert imports(file) <= {"Foundation"}, file


def test_the_packages_name_what_is_there() -> None:
    app = (IOS / APP / "Package.swift").read_text(encoding="utf-8")
    core = (IOS / CORE / "Package.swift").read_text(encoding="utf-8")
    (dependency,) = re.findall(r'\.package\(path: "(.+)"\)', app)
    assert (IOS / APP / dependency / "Package.swift").is_file()
    (product, package) = re.findall(r'\.product\(name: "(\w+)", package: "(\w+)"\)', app)[0]
    assert f'name: "{package}"' in core and f'.library(name: "{product}"' in core
    (path,) = re.findall(r'^ +path: "(.+)",$', app, re.MULTILINE)
    assert "@main" in (IOS / APP / path / "LesionLiteApp.swift").read_text(encoding="utf-8")
    for target in re.findall(r'\.target\(name: "(\w+)"', core):
        assert (IOS / CORE / "Sources" / target).is_dir()
    for target in re.findall(r'\.testTarget\(name: "(\w+)"', core):
        assert (IOS / CORE / "Tests" / target).is_dir()
    assert re.search(r'\.camera\(purposeString: "\w.+"\)', app)
    assert '.copy("Model")' in app and not (IOS / APP / path / "Model").exists()


def test_files_are_short_and_the_formatter_has_its_rules() -> None:
    for file in sources():
        assert len(file.read_text(encoding="utf-8").splitlines()) < 300, file
    assert json.loads((IOS / ".swift-format").read_text())["lineLength"] == 100
