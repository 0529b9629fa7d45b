import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lesionlite
from lesionlite import cli
from lesionlite.benchmark.candidate import Candidate, CandidateFailed
from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.report.record import Report
from lesionlite.benchmark.resize import resizers
from lesionlite.benchmark.run import benchmark
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.config import ExportConfig
from lesionlite.export.formats import FORMATS
from lesionlite.layout import CONTRACT
from lesionlite.workers import worker_environment
from tests.conftest import relist

QUICK = BenchmarkConfig(queries=8, seconds=0.1)


@pytest.fixture(scope="module")
def report(artifacts: Path, run: Path, drawn: Path) -> Report:
    config = replace(QUICK, min_agreement=0.0, max_f1_loss=1.0, max_mean_dp=1.0)
    return benchmark(artifacts, run, drawn, config)


def test_every_artifact_is_executed_and_judged(report: Report) -> None:
    assert len(report.rows) == len(ExportConfig(tuple(FORMATS)).pairs())
    assert all(row.parity is not None for row in report.rows)
    assert report.passed  # with the tolerances wide open
    for row in report.rows:
        if row.precision == "fp32":
            assert row.parity is not None
            assert row.parity.max_abs_dp <= 1e-4 and row.parity.top1_agreement == 1


def test_latency_is_measured_where_there_is_a_runtime_and_blank_elsewhere(report: Report) -> None:
    for row in report.rows:
        if not FORMATS[row.format].is_native_here:
            assert row.latency is None and row.load_ms is None and row.peak_memory_bytes is None
        else:
            assert row.latency is not None and row.load_ms
            assert 0 < row.latency.p50 <= row.latency.p90 <= row.latency.p99
            assert row.latency.queries >= 8
            assert row.peak_memory_bytes and row.peak_memory_bytes > row.size_bytes


@pytest.fixture
def two(artifacts: Path, tmp_path: Path) -> Path:
    """A folder with two artifacts whose files a test may spoil."""
    folder = tmp_path / "artifacts"
    folder.mkdir()
    manifest = json.loads((artifacts / "manifest.json").read_text())
    manifest["artifacts"] = [
        row
        for row in manifest["artifacts"]
        if row["artifact"] in ("mobilevitv2_050-fp32.onnx", "mobilevitv2_050-fp32.tflite")
    ]
    for row in manifest["artifacts"]:
        shutil.copy(artifacts / row["artifact"], folder)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_sweep_and_drift_are_measured_where_asked(two: Path, run: Path, drawn: Path) -> None:
    report = benchmark(two, run, drawn, replace(QUICK, sweep=(1,), resize_drift=True))
    assert all(set(row.sweep) == {1} and row.sweep[1] > 0 for row in report.rows)
    assert len(report.drifts) == 2 * len(resizers(Contract.read(run / CONTRACT)))
    nearest = [row for row in report.drifts if row.resizer == "nearest"]
    assert all(row.top1_agreement < 1 or row.delta_weighted_f1 == 0 for row in nearest)
    assert nearest[0].top1_agreement == nearest[1].top1_agreement  # one network, two runtimes
    assert report.document()["resize_drift"]["tolerated"].keys() == {
        r.resizer for r in report.drifts
    }


def test_an_older_report_is_compared(
    two: Path, run: Path, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["benchmark", str(two), "--run", str(run), "--data", str(drawn), "--queries", "8"]
    command += ["--seconds", "0.1", "--out", str(out)]
    assert cli.main(command) == 0
    old = json.loads((out / "report.json").read_text())
    old["rows"][0]["size_bytes"] //= 2
    (tmp_path / "old.json").write_text(json.dumps(old))
    command += ["--max-slowdown", "100", "--against", str(tmp_path / "old.json")]
    assert cli.main(command) == 1
    assert "2.00 times as large, more than 1.05" in capsys.readouterr().out
    assert not json.loads((out / "report.json").read_text())["against"]["passed"]
    assert cli.main([*command[:-1], "nowhere.json"]) == 2
    assert "--against: there is no" in capsys.readouterr().err


def test_a_planted_fault_fails_the_gate(two: Path, run: Path, drawn: Path) -> None:
    import onnx
    from onnx import numpy_helper

    file = two / "mobilevitv2_050-fp32.onnx"
    model = onnx.load(file)
    for tensor in model.graph.initializer:
        if tensor.name == "head.bias":
            rolled = np.roll(numpy_helper.to_array(tensor), 1)
            rolled[0] += 10  # whatever the image, class 0 wins
            tensor.CopyFrom(numpy_helper.from_array(rolled, tensor.name))
            break
    else:
        raise AssertionError("the head's bias has another name")
    onnx.save(model, file)
    relist(two)
    report = benchmark(two, run, drawn, QUICK)
    statuses = {row.format: row.status for row in report.rows}
    assert statuses == {"onnx": "fail", "tflite": "pass"}
    assert not report.passed
    assert "answers stayed" in report.rows[0].reason


def test_what_cannot_be_executed_is_unverified_and_fails_unless_allowed(
    two: Path, run: Path, drawn: Path
) -> None:
    name = "mobilevitv2_050-fp32.tflite"
    (two / name).write_bytes((two / name).read_bytes()[:5000])
    relist(two)
    report = benchmark(two, run, drawn, QUICK)
    row = next(row for row in report.rows if row.artifact == name)
    assert row.status == "unverified" and "damaged" in row.reason and row.latency is None
    assert not report.passed
    assert benchmark(two, run, drawn, replace(QUICK, allow_unverified=(name,))).passed
    with pytest.raises(LesionliteError, match="choose from: .*fp32.onnx"):
        benchmark(two, run, drawn, replace(QUICK, allow_unverified=("nothing",)))


def test_an_artifact_of_another_run_is_unverified(
    two: Path, run: Path, drawn: Path, tmp_path: Path
) -> None:
    import onnx

    contract = replace(Contract.read(run / "contract.json"), temperature=2.0)
    model = onnx.load(two / "mobilevitv2_050-fp32.onnx")
    onnx.helper.set_model_props(model, {"lesionlite.contract": contract.to_json()})
    onnx.save(model, two / "mobilevitv2_050-fp32.onnx")
    (refused,) = [row for row in benchmark(two, run, drawn, QUICK).rows if row.format == "onnx"]
    assert refused.status == "unverified" and "is not the file that" in refused.reason
    relist(two)
    row = benchmark(two, run, drawn, QUICK).rows[0]
    assert row.status == "unverified" and "contract is not that of the run" in row.reason


def test_a_worker_that_dies_is_reported(
    run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Candidate(run, threads=1) as dying:
        dying.process.kill()
        with pytest.raises(CandidateFailed, match="process of run ended with -9"):
            dying.open()
    with (
        Candidate(tmp_path, threads=1) as nothing,
        pytest.raises(CandidateFailed, match="artifact"),
    ):
        nothing.open()


def test_the_workers_environment_finds_our_modules() -> None:
    code = "import lesionlite; print(lesionlite.__file__)"
    command = [sys.executable, "-P", "-S", "-c", code]
    found = subprocess.run(command, env=worker_environment(), capture_output=True, text=True)
    assert Path(found.stdout.strip()).samefile(lesionlite.__file__), found.stderr


@pytest.mark.parametrize("change", [{"threads": 0}, {"queries": 0}, {"seconds": -1}])
def test_settings_that_cannot_work_are_named(change: dict[str, float]) -> None:
    with pytest.raises(LesionliteError, match=f"--{next(iter(change))}"):
        BenchmarkConfig(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize("entry", ["Melanoma", "=-0.01", "Melanoma=low", "Melanoma=nan"])
def test_a_recall_gate_that_is_none_is_refused(entry: str) -> None:
    with pytest.raises(LesionliteError, match="LABEL=CHANGE"):
        BenchmarkConfig(min_recall=(entry,))


def test_a_recall_gate_that_could_not_fail_is_refused(
    two: Path, run: Path, drawn: Path, tmp_path: Path
) -> None:
    with pytest.raises(LesionliteError, match="no class 'Melanom' .did you mean 'Melanoma'"):
        benchmark(two, run, drawn, replace(QUICK, min_recall=("Melanom=0",)))
    shutil.copytree(drawn / "test" / "Chickenpox", tmp_path / "few" / "Chickenpox")
    with pytest.raises(LesionliteError, match="Melanoma: no test image is of that class"):
        benchmark(two, run, tmp_path / "few", replace(QUICK, min_recall=("Melanoma=0",)))
