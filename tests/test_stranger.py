"""Beside anybody's modules: nothing of ours is importable but `lesionlite`, and it meets no decoy.

The decoys lie in the working folder and in the folder of the script. Nobody can keep a script's own
`json.py` from a library that imports json; `import lesionlite` by itself imports no library.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Shared
from tests.paths import ROOT

ROOMS = ("train", "export", "benchmark", "mobile_app_stub")
DECOYS = (*ROOMS, "statistics", "json", "contract", "errors", "cli")
HIT = 77
"""The exit code of a process that imports a decoy."""
IMPORT = "import lesionlite; assert lesionlite.__all__; print(lesionlite.__file__)"
WORKER = """
from pathlib import Path
from lesionlite.benchmark.candidate import Candidate
with Candidate(Path("absent.onnx"), 1) as candidate:
    candidate.open()
"""
ROOMS_ALONE = """
from importlib.util import find_spec
import lesionlite.api
print([name for name in {rooms} if find_spec(name)])
"""
TOOLCHAINS = {
    *("torch", "torchvision", "timm", "numpy", "onnx", "onnxruntime", "onnxscript", "coremltools"),
    *("litert_torch", "ai_edge_litert", "ai_edge_quantizer", "executorch", "tensorflow", "captum"),
    *("matplotlib", "sklearn", "scipy", "jax"),
}


@dataclass(frozen=True)
class Place:
    """An installation of lesionlite.

    Attributes:
        python: its interpreter.
        command: its console script.
        home: the folder that lesionlite is imported from.
    """

    python: Path
    command: Path
    home: Path


@pytest.fixture(scope="session", params=["editable", "wheel"])
def place(request: pytest.FixtureRequest, shared: Shared) -> Place:
    """This environment, and one of its own that has our wheel."""
    if request.param == "editable":
        python = Path(sys.executable)
        return Place(python, python.with_name("lesionlite"), ROOT / "lesionlite")
    folder = shared("wheel", install)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder / "venv")}))
    scripts = folder / "venv" / "bin"
    return Place(scripts / "python", scripts / "lesionlite", site / "lesionlite")


def copy_sources(folder: Path) -> Path:
    """Copy what a wheel is made of, without what other tests and builds left there."""
    without = shutil.ignore_patterns("__pycache__", "node_modules", "site")
    for name in ("lesionlite", *ROOMS):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=without)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


def modules_in(folder: Path) -> set[str]:
    """Paths of the modules below a folder; links are followed."""
    files = [file for room in ("", *ROOMS) for file in (folder / room).rglob("*.py")]
    return {str(f.relative_to(folder)) for f in files if "node_modules" not in f.parts}


def install(folder: Path) -> None:
    """Build a wheel; install it, alone, beside the libraries of this environment."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels = folder / "wheels"
    sources = copy_sources(folder / "sources")  # a build leaves files behind
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(sources)]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = wheels.glob("lesionlite-*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run(
        [*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)],
        check=True,
    )
    # A path, and no more: its own .pth files are not read, so that the editable finder is not here.
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder / "venv")}))
    libraries = [path for path in sys.path if Path(path).name == "site-packages"]
    (site / "libraries.pth").write_text("\n".join(libraries) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds decoys."""
    for name in DECOYS:
        (tmp_path / f"{name}.py").write_text(f"import os\nos._exit({HIT})\n")
    return tmp_path


def run(folder: Path, *command: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a command in a folder, without this process's import path."""
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=outside)


def script(folder: Path, text: str) -> Path:
    (folder / "script.py").write_text(text)
    return folder / "script.py"


@pytest.mark.parametrize("name", DECOYS)
def test_a_decoy_is_noticed(name: str, folder: Path) -> None:
    done = run(folder, sys.executable, "-S", script(folder, f"import {name}"))
    assert done.returncode == HIT


def test_a_script_imports_it(place: Place, folder: Path) -> None:
    done = run(folder, place.python, script(folder, IMPORT))
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parent.samefile(place.home)


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("train", "--help")])
def test_commands_run(place: Place, folder: Path, arguments: tuple[str, ...]) -> None:
    for command in ((place.python, "-m", "lesionlite"), (place.command,)):
        done = run(folder, *command, *arguments)
        assert done.returncode == 0, done.stderr
        assert "lesionlite" in done.stdout


def test_workers_start(place: Place, folder: Path) -> None:
    (folder / "json.py").unlink()  # libraries import json, see above
    (folder / "statistics.py").unlink()
    done = run(folder, place.python, script(folder, WORKER))
    assert done.returncode == 1 and "there is no artifact absent.onnx" in done.stderr, done.stderr


def test_workers_of_a_command_start(place: Place, folder: Path) -> None:
    """A command's own import path has neither the working folder nor a script's."""
    code = f"import sys; assert sys.flags.safe_path\n{WORKER}"
    done = run(folder, place.python, "-P", "-c", code)
    assert done.returncode == 1 and "there is no artifact absent.onnx" in done.stderr, done.stderr


def test_every_module_is_installed(place: Place) -> None:
    modules = modules_in(ROOT / "lesionlite")
    assert len(modules) > 100 and modules_in(place.home) == modules


def test_no_room_is_importable_by_itself(place: Place, tmp_path: Path) -> None:
    code = ROOMS_ALONE.format(rooms=(*ROOMS, "errors", "contract", "cli", "files"))
    done = run(tmp_path, place.python, "-P", "-c", code)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.mark.parametrize("arguments", [("-c", "import lesionlite"), ("-m", "lesionlite", "--help")])
def test_no_toolchain_is_imported(place: Place, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(tmp_path, place.python, "-X", "importtime", *arguments)
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert done.returncode == 0 and "lesionlite" in imported
    assert imported & TOOLCHAINS == set()


def test_the_check_of_toolchains_finds_one(place: Place, tmp_path: Path) -> None:
    done = run(tmp_path, place.python, "-X", "importtime", "-c", "import numpy")
    assert "numpy" in {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
