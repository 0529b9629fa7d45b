"""Another package adds a format: one module and one row, and every command knows it.

The toy keeps the traced network and the contract as arrays of an `.npz` file. Each command runs in
a process of its own, as for a user who installed the package: only its folder is on the path.
"""

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from lesionlite.benchmark.elsewhere import arm
from lesionlite.benchmark.elsewhere.check import Task
from lesionlite.errors import LesionliteError
from lesionlite.export.format import Format
from lesionlite.export.formats import FORMATS, GROUP, with_installed
from tests.paths import ROOT

TOY = """
import io
from pathlib import Path

import numpy as np

from lesionlite.export.format import Format, Runner

ROW = Format("npz", "NumPy", ".npz", ("fp32",), ("numpy",))


def convert(source, paths):
    import torch
    from lesionlite.train.model import predict_logits

    class Whole(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = source.network

        def forward(self, image):
            logits = predict_logits(self.network, image.permute(0, 3, 1, 2), source.contract)
            return (logits / source.contract.temperature).softmax(-1)

    side, buffer = source.contract.side, io.BytesIO()
    with torch.no_grad():
        image = torch.zeros(1, side, side, 3, dtype=torch.uint8)
        torch.jit.save(torch.jit.trace(Whole().eval(), image), buffer)
    program = np.frombuffer(buffer.getvalue(), np.uint8)
    for path in paths.values():
        np.savez(path, program=program, contract=np.array(source.contract.to_json()))


def read_contract(path):
    with np.load(path) as arrays:
        return str(arrays["contract"]), None


def load(path, threads):
    import torch

    torch.set_num_threads(threads)
    with np.load(path) as arrays:
        program = torch.jit.load(io.BytesIO(arrays["program"].tobytes()))

    def classify(image):
        with torch.inference_mode():
            return program(torch.from_numpy(image)[None])[0].numpy()

    return Runner(classify, "toy 1")
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the toy as pip installs a package."""
    folder = tmp_path_factory.mktemp("site")
    about = folder / "toy_format-1.dist-info"
    about.mkdir()
    (folder / "toy_format.py").write_text(TOY)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-format\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[{GROUP}]\nnpz = toy_format:ROW\n")
    return folder


def lesionlite(package: Path, *arguments: object) -> str:
    """What a command prints, for one who installed the toy."""
    done = subprocess.run(
        [sys.executable, "-m", "lesionlite", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(package), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_command_knows_it(package: Path, run: Path, drawn: Path, tmp_path: Path) -> None:
    assert "npz" in lesionlite(package, "export", "--help")
    artifacts, report = tmp_path / "artifacts", tmp_path / "report"
    lesionlite(package, "export", run, "--out", artifacts, "--formats", "npz")
    file = artifacts / "mobilevitv2_050-fp32.npz"
    manifest = json.loads((artifacts / "manifest.json").read_text())
    assert [row["artifact"] for row in manifest["artifacts"]] == [file.name]
    assert "all is as the manifest says" in lesionlite(package, "verify", artifacts)
    places = artifacts, "--run", run, "--data", drawn, "--out", report
    lesionlite(package, "benchmark", *places, "--queries", 4, "--seconds", 0.05)
    (row,) = json.loads((report / "report.json").read_text())["rows"]
    assert row["status"] == "pass" and row["format"] == "npz" and row["runtime"] == "toy 1"
    assert row["top1_agreement"] == 1 and row["max_abs_dp"] < 1e-5
    assert row["latency_ms"]["queries"] >= 4
    assert file.name in (report / "report.md").read_text()
    image = next((drawn / "test").rglob("*.png"))
    both = [
        json.loads(lesionlite(package, "predict", model, image, "--json"))["images"]
        for model in (file, run)
    ]
    ours, theirs = (one[0]["probabilities"] for one in both)
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_the_arm_table_says_that_it_cannot_run_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arm, "find_root", lambda core: tmp_path)
    monkeypatch.setitem(FORMATS, "npz", Format("npz", "NumPy", ".npz", ("fp32",), ()))
    file = tmp_path / "a-fp32.npz"
    file.touch()
    task = Task(file, "fp32", np.eye(3, dtype=np.float32))
    images, truth = np.zeros((3, 8, 8, 3), np.uint8), np.arange(3)
    (row,) = arm.run_on_arm("cortex-a76", [task], images, truth, 3)
    assert row.status == "unverified" and "nothing that executes such files there" in row.reason


def test_without_the_package_it_is_unknown() -> None:
    assert "npz" not in FORMATS


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module", "npz = spoilt:ROW .* cannot be loaded .ModuleNotFoundError"),
        ("ROW = 3", "is a int, not a Format"),
        ("ROW = Format('onnx', 'x', '.x', (), ())", "another format, onnx .*uninstall"),
        ("ROW = Format('x', 'x', '.onnx', (), ())", "another format, onnx .*uninstall"),
    ],
)
def test_a_package_that_is_wrong_is_named(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "spoilt", raising=False)
    (tmp_path / "spoilt.py").write_text(f"from lesionlite.export.format import Format\n{source}\n")
    with pytest.raises(LesionliteError, match=message):
        with_installed([EntryPoint("npz", "spoilt:ROW", GROUP)])
    monkeypatch.delitem(sys.modules, "spoilt", raising=False)
