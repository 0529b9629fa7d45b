"""Artifacts on emulated Arm cores. What needs the emulator is skipped without it; CI has it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.elsewhere import arm_root
from lesionlite.benchmark.elsewhere.arm import run_on_arm
from lesionlite.benchmark.elsewhere.arm_root import (
    CORES,
    EMULATOR,
    arm_folder,
    build_root,
    find_root,
)
from lesionlite.benchmark.elsewhere.check import CrossRuntimeCheck, Task
from lesionlite.benchmark.run import benchmark
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.predictor import load
from tests.export.test_gates import layer_of_zeros, spoil

READY = shutil.which(EMULATOR) is not None and (arm_folder() / "system").is_dir()
needs_arm = pytest.mark.skipif(not READY, reason="run `lesionlite armroot` first; .ci/run does")


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(LesionliteError, match="no Arm core 'cortex-a67' .did you mean .*a76'"):
        find_root("cortex-a67")
    monkeypatch.setattr(arm_root.platform, "system", lambda: "Linux")
    monkeypatch.setattr(arm_root.shutil, "which", lambda program: None)
    with pytest.raises(LesionliteError, match="apt-get install qemu-user-static"):
        find_root("cortex-a76")
    monkeypatch.setattr(arm_root.shutil, "which", lambda program: program)
    with pytest.raises(LesionliteError, match="run `lesionlite armroot` once"):
        find_root("cortex-a76")
    monkeypatch.setattr(arm_root.platform, "system", lambda: "Darwin")
    with pytest.raises(LesionliteError, match="on Linux only"):
        find_root("cortex-a76")


def test_packages_that_cannot_be_fetched_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(arm_root, "_refuse_without", lambda *programs: None)
    monkeypatch.setattr(arm_root, "_debian_packages", lambda scratch: [tmp_path / "no.deb"])
    monkeypatch.setattr(arm_root, "_run", lambda command: command[0] == "dpkg" and stop())

    def stop() -> None:
        raise LesionliteError("the Arm system could not be made: dpkg: no such file")

    with pytest.raises(LesionliteError, match="could not be made: dpkg"):
        build_root()
    assert not list((tmp_path / "lesionlite").iterdir())


def test_cores_differ_in_dot_products() -> None:
    assert {"asimddp" in core.features for core in CORES.values()} == {True, False}


def on_arm(core: str, tasks: list[Task], images: np.ndarray) -> list[CrossRuntimeCheck]:
    return run_on_arm(core, tasks, images, np.zeros(len(images), np.int64), 14)


@needs_arm
@pytest.mark.parametrize("core", ["cortex-a72", "cortex-a76"])
def test_arm_answers_as_this_machine_does(artifacts: Path, images: np.ndarray, core: str) -> None:
    sure = np.sort(load(artifacts / "mobilevitv2_050-w8a8.onnx", 1).predict(images), 1)
    images = images[np.argsort(sure[:, -2] - sure[:, -1])[:3]]  # a near tie falls either way
    tasks = []
    for name, precision in (("fp32.tflite", "fp32"), ("w8a8.onnx", "w8a8")):
        file = artifacts / f"mobilevitv2_050-{name}"
        tasks.append(Task(file, precision, load(file, 1).predict(images)))
    exact, rounded = on_arm(core, tasks, images)
    assert (exact.status, rounded.status) == ("pass", "pass"), (exact, rounded)
    assert exact.max_abs_dp is not None and 0 < exact.max_abs_dp < 1e-5
    assert rounded.max_abs_dp is not None and rounded.max_abs_dp < 0.02  # 0.06 where x86 saturates
    assert exact.top1_agreement == 1 and exact.weighted_f1 == exact.host_weighted_f1


@needs_arm
def test_what_differs_or_crashes_fails(artifacts: Path, images: np.ndarray, tmp_path: Path) -> None:
    good = artifacts / "mobilevitv2_050-fp32.onnx"
    answers = load(good, 1).predict(images[:2])
    zeroed, cut = tmp_path / "zeroed.onnx", tmp_path / "cut.tflite"
    shutil.copy(good, zeroed)
    spoil(zeroed, layer_of_zeros)
    cut.write_bytes((artifacts / "mobilevitv2_050-fp32.tflite").read_bytes()[:5000])
    apple = artifacts / "mobilevitv2_050-fp32.mlpackage"
    tasks = [Task(file, "fp32", answers) for file in (zeroed, cut, apple)]
    differs, crashes, cannot = on_arm("cortex-a76", tasks, images[:2])
    assert differs.status == "fail" and "a probability differs by" in differs.reason
    assert crashes.status == "fail" and "it ended with" in crashes.reason
    assert cannot.status == "unverified" and "Apple" in cannot.reason


@needs_arm
def test_the_benchmark_says_what_arm_says(artifacts: Path, run: Path, drawn: Path) -> None:
    config = BenchmarkConfig(queries=4, seconds=0.05, arm=("cortex-a76",), arm_images=14)
    file = artifacts / "mobilevitv2_050-fp32.tflite"
    report = benchmark(file, run, drawn, config)
    (row,) = report.elsewhere
    assert report.passed and row.images == 14 and row.status == "pass"
    assert not replace(report, elsewhere=(replace(row, status="fail", reason="x"),)).passed
