"""A small install, without any extra: what it can do, and what it says of what it cannot."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lesionlite.export.formats import FORMATS
from tests.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TRAINING = ["--weights", "none", "--model", "mobilevitv2_050", "--side", "32", "--epochs", "1"]
EXPORTING = ["--formats", "torchscript", "--precisions", "fp32"]
SMALL = """
import sys
sys.modules.update(dict.fromkeys({absent}))
from lesionlite.cli import main
sys.exit(main({arguments}))
"""


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[]", line)[0] for line in requirements} - {"lesionlite"}


def absent() -> list[str]:
    """Modules that the extras bring, and a small install has not."""
    extras = PROJECT["optional-dependencies"]
    brought = set().union(*(names(lines) for extra, lines in extras.items() if extra != "dev"))
    shared = {"threadpoolctl"}  # scikit-learn brings it, too
    return sorted(name.replace("-", "_") for name in brought - shared - names(extras["all"]))


def small(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    code = SMALL.format(absent=absent(), arguments=[str(word) for word in arguments])
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)


@pytest.fixture(scope="module")
def trained(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that a small install trained."""
    run = tmp_path_factory.mktemp("small") / "run"
    done = small("train", drawn, "--out", run, *TRAINING)
    assert done.returncode == 0, done.stderr
    return run


@pytest.mark.slow
def test_it_evaluates_and_predicts_with_a_run(trained: Path, drawn: Path, tmp_path: Path) -> None:
    done = small("evaluate", trained, drawn, "--out", tmp_path)
    assert done.returncode == 0 and "weighted F1" in done.stdout, done.stderr
    done = small("predict", trained, next((drawn / "test").rglob("*.png")))
    assert done.returncode == 0 and "Not a medical device" in done.stdout, done.stderr


@pytest.mark.slow
def test_it_exports_torchscript(trained: Path, drawn: Path, tmp_path: Path) -> None:
    done = small("export", trained, "--data", drawn, "--out", tmp_path, *EXPORTING)
    assert done.returncode == 0, done.stderr
    assert {file.suffix for file in tmp_path.iterdir()} >= {".ptl"}
    done = small(
        "predict",
        tmp_path / "mobilevitv2_050-fp32.ptl",
        next((drawn / "test").rglob("*.png")),
    )
    assert done.returncode == 0, done.stderr


def test_a_build_is_refused_before_any_work(drawn: Path, tmp_path: Path) -> None:
    done = small("build", drawn, "--out", tmp_path / "out", *TRAINING)
    assert done.returncode == 2 and not (tmp_path / "out" / "run").exists()
    assert "pip install 'lesionlite[onnx,tflite,coreml,executorch]'" in done.stderr
    assert "--formats torchscript" in done.stderr


def test_explain_names_its_extra(trained: Path, drawn: Path, tmp_path: Path) -> None:
    done = small("explain", trained, drawn / "test", "--out", tmp_path / "out")
    assert done.returncode == 2 and "pip install 'lesionlite[explain]'" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["onnx", "coreml", "executorch"])
def test_a_file_whose_toolchain_is_missing_is_not_called_damaged(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"m{FORMATS[name].suffix}"
    if name == "coreml":
        model = file / "Data" / "m.mlmodel"
        model.parent.mkdir(parents=True)
        model.write_bytes(b"no model")
        items = '{"m": {"path": "m.mlmodel"}}'
        text = f'{{"rootModelIdentifier": "m", "itemInfoEntries": {items}}}'
        (file / "Manifest.json").write_text(text)
    else:
        file.write_bytes(b"no model")
    done = small("predict", file, tmp_path / "image.png")
    assert done.returncode == 2 and f"pip install 'lesionlite[{name}]'" in done.stderr, done.stderr
    assert "damaged" not in done.stderr


def test_a_contract_that_needs_no_toolchain_is_read(tmp_path: Path) -> None:
    """TFLite's is in a ZIP archive; the lack shows when the file is opened."""
    code = "import sys; from pathlib import Path; sys.modules.update(dict.fromkeys({absent}))\n"
    code += "from lesionlite.export.formats import open_runner; open_runner(Path({file}))"
    (tmp_path / "m.tflite").touch()
    code = code.format(absent=absent(), file=repr(str(tmp_path / "m.tflite")))
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert "pip install 'lesionlite[tflite]'" in done.stderr, done.stderr


def test_all_has_every_extra_for_users() -> None:
    extras = PROJECT["optional-dependencies"]
    (line,) = extras["all"]
    # A user asks for these by name: npu brings libraries under a vendor's own license, and coreai
    # betas that pin other packages.
    by_name = {"all", "coreai", "dev", "npu"}
    assert set(re.findall(r"\w+", line)) - {"lesionlite"} == set(extras) - by_name
    assert "lesionlite[all,coreai,npu]" in extras["dev"]
