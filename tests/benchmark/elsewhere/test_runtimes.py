import json
import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.elsewhere import runtimes
from lesionlite.benchmark.elsewhere.check import Task, check
from lesionlite.benchmark.elsewhere.runtimes import (
    OTHERS,
    REFERENCE,
    open_other,
    other_runtimes,
    refuse_missing,
    usual_runtime,
)
from lesionlite.benchmark.run import benchmark
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.predictor import load
from lesionlite.export.formats import FORMATS
from tests.benchmark.test_benchmark import QUICK
from tests.conftest import relist

ALL = BenchmarkConfig(runtimes=True)
TFLITE, COREML = FORMATS["tflite"], FORMATS["coreml"]


def test_which_runtimes_are_asked() -> None:
    assert not any(other_runtimes(row, BenchmarkConfig()) for row in FORMATS.values())
    assert len(other_runtimes(TFLITE, ALL)) == 3 and len(other_runtimes(FORMATS["onnx"], ALL)) == 2
    assert other_runtimes(COREML, ALL) == [] and usual_runtime(COREML, ALL) == "ours"
    both, reference = (BenchmarkConfig(coreml_runtime=r) for r in ("both", "reference"))  # type: ignore[arg-type]
    assert other_runtimes(COREML, both) == [REFERENCE] and usual_runtime(COREML, both) == "ours"
    assert other_runtimes(COREML, reference) == [] and usual_runtime(COREML, reference) == REFERENCE
    assert usual_runtime(FORMATS["onnx"], reference) == "ours"


def test_what_is_not_here_is_refused_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    with pytest.raises(LesionliteError, match="native needs Core ML, which only macOS has"):
        refuse_missing([COREML], BenchmarkConfig(coreml_runtime="native"))
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    refuse_missing([COREML], BenchmarkConfig(coreml_runtime="both"))
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    with pytest.raises(
        LesionliteError, match=r"mediapipe, tensorflow\).*pip install 'lesionlite\[runtimes\]'"
    ):
        refuse_missing([TFLITE], ALL)
    refuse_missing([TFLITE], BenchmarkConfig())
    refuse_missing([FORMATS["coreai"]], ALL)  # it needs no more than its own packages


def test_core_ai_is_compared_where_core_ml_can_be(
    artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = OTHERS["Core ML's file"]
    file = artifacts / "mobilevitv2_050-fp16.aimodel"
    assert other.can_open(file) and not other.can_open(tmp_path / file.name)
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    assert not other.can_open(file)


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_every_runtime_answers_alike(kind: str, artifacts: Path, run: Path, drawn: Path) -> None:
    config = replace(QUICK, runtimes=True)
    report = benchmark(
        artifacts / f"mobilevitv2_050-fp32{FORMATS[kind].suffix}", run, drawn, config
    )
    assert [row.where for row in report.elsewhere] == other_runtimes(FORMATS[kind], config)
    for row in report.elsewhere:
        assert row.status == "pass", row
        assert row.max_abs_dp is not None and row.max_abs_dp < 1e-4
        assert row.images == len(list((drawn / "test").rglob("*.png")))


@pytest.mark.parametrize("name", ["ONNX Runtime, nothing fused", REFERENCE])
def test_each_reads_the_whole_contract(name: str, artifacts: Path, images: np.ndarray) -> None:
    suffix = COREML.suffix if name == REFERENCE else OTHERS[name].suffix
    file = artifacts / f"mobilevitv2_050-fp32{suffix}"
    other, usual = open_other(name, file, 1), load(file, 1)
    assert other.native == (name != REFERENCE) and other.contract == usual.contract
    np.testing.assert_allclose(other.predict(images[:2]), usual.predict(images[:2]), atol=1e-5)


def test_other_answers_fail() -> None:
    task = Task(Path("a-fp32.onnx"), "fp32", np.eye(14, dtype=np.float32))
    row = check("x", task, np.roll(task.answers, 1, 0), np.arange(14), 14)
    assert row.status == "fail" and row.weighted_f1 == 0 and row.host_weighted_f1 == 1
    assert "only 0.0000 of the answers" in row.reason and "differs by 1.0000" in row.reason


def test_near_ties_may_change_but_not_probabilities() -> None:
    here = np.tile(np.array([[0.5, 0.49, 0.01]], np.float32), (8, 1))
    task = Task(Path("a-fp32.onnx"), "fp32", here)
    found = here + np.array([[-0.01, 0.01, 0]], np.float32)
    assert check("golden images", task, found, None, 3, ties=8).status == "pass"
    assert check("test images", task, found, None, 3, ties=1).status == "fail"
    assert check("golden images", task, found[:, ::-1], None, 3, ties=8).status == "fail"


def test_a_file_that_one_runtime_refuses_fails(
    artifacts: Path, run: Path, drawn: Path, tmp_path: Path
) -> None:
    """Without TFLite Metadata MediaPipe does not know the labels; the interpreters do not care."""
    name = "mobilevitv2_050-fp32.tflite"
    data = (artifacts / name).read_bytes()
    (tmp_path / name).write_bytes(data.replace(b"TFLITE_METADATA", b"TFLITE_METADATX"))
    manifest = json.loads((artifacts / "manifest.json").read_text())
    manifest["artifacts"] = [row for row in manifest["artifacts"] if row["artifact"] == name]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    relist(tmp_path)
    report = benchmark(tmp_path, run, drawn, replace(QUICK, runtimes=True))
    statuses = {row.where: row.status for row in report.elsewhere}
    assert statuses.pop("MediaPipe") == "fail" and set(statuses.values()) == {"pass"}
    assert report.rows[0].status == "pass" and not report.passed
