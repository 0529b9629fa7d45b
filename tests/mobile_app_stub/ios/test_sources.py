"""What the iOS app's sources say: packages, imports, licence, memory, the workflow."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import tree_sitter_swift
import yaml

from lesionlite.mobile_app_stub.apps import APPS
from lesionlite.mobile_app_stub.identity import PLACEHOLDERS
from tests.mobile_app_stub.app_sources import syntax_errors
from tests.mobile_app_stub.ios.swift_standins import MODULES
from tests.mobile_app_stub.ios.test_app import APP, CORE, IOS, KIT, ROOT

RESOURCES = IOS / APP / "App" / "Resources"


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
    for file in sources(IOS / APP / "App") + sources(IOS / KIT / "Sources"):
        text = file.read_text(encoding="utf-8")
        allowed = {"0.5"} if file.name == "Preprocess.swift" else set()  # half a pixel
        assert set(forbidden(text)) <= allowed, file
    for planted in ("URLSession.shared", "let side = 224", '"Melanoma"', "import Network"):
        assert forbidden(planted)


def imports(file: Path) -> set[str]:
    return set(re.findall(r"^import (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE))


def test_the_core_needs_foundation_and_nothing_else() -> None:
    for file in sources(IOS / CORE):
        assert imports(file) <= {"Foundation"}, file


def test_the_packages_name_what_is_there() -> None:
    app = (IOS / APP / "Package.swift").read_text(encoding="utf-8")
    kit = (IOS / KIT / "Package.swift").read_text(encoding="utf-8")
    assert re.findall(r"\.package\((.*)\)\]", app) == ['path: "LesionKit"']
    assert ".package(" not in kit
    for product, package in re.findall(r'\.product\(name: "(\w+)", package: "(\w+)"\)', app):
        assert f'name: "{package}"' in kit and f'.library(name: "{product}"' in kit
    (path,) = re.findall(r'^ +path: "(.+)",$', app, re.MULTILINE)
    assert "@main" in (IOS / APP / path / "LesionLiteApp.swift").read_text(encoding="utf-8")
    for target in re.findall(r'\.target\(name: "(\w+)"', kit):
        assert (IOS / KIT / "Sources" / target).is_dir()
    for target in re.findall(r'\.testTarget\(name: "(\w+)"', kit):
        assert (IOS / KIT / "Tests" / target).is_dir()
    (plist,) = re.findall(r'additionalInfoPlistContentFilePath: "(.+)"', app)
    assert (IOS / APP / plist).is_file()
    assert '.copy("Model")' in app and not (IOS / APP / path / "Model").exists()


def test_the_identity_stands_where_embed_replaces_it() -> None:
    package = (IOS / APP / "Package.swift").read_text(encoding="utf-8")
    for part, spots in APPS["ios"].identity.spots.items():
        (spot,) = spots
        assert package.count(spot.line.format(PLACEHOLDERS[part])) == 1


def test_the_app_uses_apples_frameworks_and_its_own_package_only() -> None:
    """So that NOTICE.txt may say that it contains no other software."""
    apples = {*MODULES, "CoreGraphics", "Foundation", "Observation"}
    for file in sources(IOS / APP / "App") + sources(IOS / KIT / "Sources"):
        assert imports(file) <= apples | {"LesionClassifier", "LesionCore"}, file


def same_licence(notice: str) -> bool:
    return (ROOT / "LICENSE").read_text(encoding="utf-8") in notice


def test_the_app_holds_lesionlites_licence_to_the_letter() -> None:
    notice = (RESOURCES / "NOTICE.txt").read_text(encoding="utf-8")
    assert same_licence(notice) and "It contains no other software." in notice
    assert not same_licence(notice.replace("irrevocable", "revocable"))


@pytest.mark.parametrize(
    ("file", "kept"), [("Session.swift", "var preview: UIImage?"), ("ContentView.swift", None)]
)
def test_the_page_keeps_no_photo(file: str, kept: str | None) -> None:
    """Only a small copy: a decoded photo may take 128 MB."""
    text = (IOS / APP / "App" / file).read_text(encoding="utf-8")
    found = re.findall(r"\bvar \w+: (?:UI|CG)Image\??|\bvar \w+: Data\??", text)
    assert found == ([kept] if kept else [])


def test_files_are_short_and_the_formatter_has_its_rules() -> None:
    for file in sources():
        assert len(file.read_text(encoding="utf-8").splitlines()) < 300, file
    assert json.loads((IOS / ".swift-format").read_text())["lineLength"] == 100


def test_the_workflow_names_what_is_there(tmp_path: Path) -> None:
    workflow = yaml.safe_load((IOS / ".github/workflows/ios.yml").read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    for step in steps:
        assert (IOS / step["working-directory"] / "Package.swift").is_file()
    assert steps[0]["run"] == "swift test"
    package = (IOS / APP / "Package.swift").read_text(encoding="utf-8")
    for name in ("Lesionlite", "Skin check"):
        renamed = package.replace(f' name: "{PLACEHOLDERS["name"]}"', f' name: "{name}"')
        (tmp_path / "Package.swift").write_text(renamed, encoding="utf-8")
        script = "xcodebuild() { printf '%s\\n' \"$@\"; }\n" + steps[1]["run"]
        said = subprocess.run(
            ["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert said.stdout.splitlines()[:3] == ["build", "-scheme", name]
