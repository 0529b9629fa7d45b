"""An artifact that overflows, and a reference that does: what is said of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.torch import load_file, save_file

from lesionlite import cli
from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.elsewhere.check import Task, check
from lesionlite.benchmark.run import benchmark
from lesionlite.errors import LesionliteError
from lesionlite.export.config import ExportConfig
from lesionlite.export.run import export
from lesionlite.layout import WEIGHTS
from tests.conftest import relist

QUICK = BenchmarkConfig(queries=4, seconds=0.05)
NAME = "mobilevitv2_050-fp32.onnx"


@pytest.fixture
def overflowing(run: Path, tmp_path: Path) -> Path:
    """An artifact whose head has an infinite weight."""
    folder = tmp_path / "artifacts"
    export(run, folder, ExportConfig(formats=("onnx",), precisions=("fp32",)))
    model = onnx.load(folder / NAME)
    for tensor in model.graph.initializer:
        if tensor.name == "head.bias":
            bias = numpy_helper.to_array(tensor).copy()
            bias[0] = np.inf
            tensor.CopyFrom(numpy_helper.from_array(bias, tensor.name))
    onnx.save(model, folder / NAME)
    relist(folder)
    return folder


def test_answers_that_are_not_finite_fail(overflowing: Path, run: Path, drawn: Path) -> None:
    report = benchmark(overflowing, run, drawn, replace(QUICK, allow_unverified=(NAME,)))
    (row,) = report.rows
    assert row.status == "fail" and "answers are not finite numbers" in row.reason
    assert not report.passed and row.latency is None


def test_a_reference_whose_answers_are_not_finite_judges_nothing(
    overflowing: Path, run: Path, drawn: Path, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(run, tmp_path / "bad")
    weights = load_file(tmp_path / "bad" / WEIGHTS)
    weights["head.fc.bias"][0] = float("inf")
    save_file(weights, tmp_path / "bad" / WEIGHTS)
    with pytest.raises(LesionliteError, match="not finite|finite"):
        benchmark(overflowing, tmp_path / "bad", drawn, QUICK)


def test_answers_elsewhere_that_are_not_finite_fail() -> None:
    good = np.full((4, 2), 0.5, np.float32)
    bad = good.copy()
    bad[1] = np.nan
    truth = np.zeros(4, np.int64)
    assert check("there", Task(Path("x.onnx"), "fp32", good), good, truth, 2).status == "pass"
    row = check("there", Task(Path("x.onnx"), "fp32", good), bad, truth, 2)
    assert row.status == "fail" and row.reason == "1 of 4 answers are not finite numbers"
    assert row.max_abs_dp is None


@pytest.mark.parametrize("flag", ["--max-f1-loss", "--min-agreement", "--seconds", "--max-growth"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_no_number_of_the_command_line_is_not_finite(
    flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["benchmark", "x", "--run", "y", "--data", "z", f"{flag}={value}"]
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert flag in said and "finite" in said
