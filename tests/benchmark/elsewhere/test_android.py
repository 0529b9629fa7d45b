"""The phone is made up: an `adb` that answers what real ones were seen to say."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.elsewhere.android import find_phone, parse, time_on_phone
from lesionlite.benchmark.run import benchmark
from lesionlite.errors import LesionliteError

NEW = """INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Num threads: [2]
INFO: Graph: [/data/local/tmp/lesionlite/a.tflite]
INFO: Use xnnpack: [1]
INFO: Loaded model /data/local/tmp/lesionlite/a.tflite
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: The input model file size (MB): 17.6
INFO: Initialized session in 35.579ms.
INFO: Running benchmark for at least 1 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=37 first=31744 curr=25520 min=23164 max=38295 avg=23764.3 std=967 p5=23200 median=23700 p95=26000

INFO: Running benchmark for at least 128 iterations and at least 10 seconds but terminate if exceeding 150 seconds.
INFO: count=420 first=24850 curr=23315 min=23105 max=25765 avg=2.35202e+04 std=470 p5=23110 median=23480 p95=24400

INFO: Inference timings in us: Init: 35579, First inference: 31744, Warmup (avg): 23764.3, Inference (avg): 2.35202e+04
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory footprint of the model at runtime. Take the information at your discretion.
INFO: Memory footprint delta from the start of the tool (MB): init=36.36328 overall=49.832
"""  # noqa: E501 (as the tool prints it)
OLD = """STARTING!
Num threads: [1]
#threads used for CPU inference: [1]
Initialized session in 0.855ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=1 curr=3512391

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=32891 curr=33978 min=32641 max=34005 avg=33209.4 std=450

Inference timings in us: Init: 855, First inference: 49060, Warmup (avg): 3.51239e+06, Inference (avg): 33209.4
Peak memory footprint (MB): init=0 overall=12.8672
"""  # noqa: E501
ADB = """#!/bin/sh
echo "$@" >> "$ADB_LOG"
case "$1 $2" in
  "devices ") printf "$ADB_DEVICES" ;;
  "shell getprop") echo "Pixel 8" ;;
  "shell "*benchmark_model)
    case "$3" in *fp16*) echo "ERROR: Failed to load model"; exit 1 ;; *) cat "$ADB_SAYS" ;; esac ;;
esac
"""
ONE = "* daemon not running; starting now\\nList of devices attached\\nab1\\tdevice\\n"


@pytest.fixture
def adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an `adb` that comes first; its log and what it says lie there."""
    (tmp_path / "adb").write_text(ADB)
    (tmp_path / "adb").chmod(0o755)
    (tmp_path / "says").write_text(NEW)
    (tmp_path / "benchmark_model").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ADB_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("ADB_SAYS", str(tmp_path / "says"))
    monkeypatch.setenv("ADB_DEVICES", ONE)
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    return tmp_path


def test_what_todays_tool_prints() -> None:
    row = parse(NEW, "a.tflite", "Pixel 8", 2)
    assert (row.queries, row.mean_ms, row.p50_ms, row.p95_ms) == (420, 23.5202, 23.48, 24.4)
    assert (row.load_ms, row.first_ms, row.memory_mb) == (35.579, 31.744, 49.832)


def test_what_older_tools_print() -> None:
    row = parse(OLD, "a.tflite", "old", 1)
    assert (row.queries, row.mean_ms, row.p50_ms, row.memory_mb) == (50, 33.2094, None, 12.8672)
    silent = OLD[: OLD.index("Peak")]
    assert parse(silent, "a.tflite", "old", 1).memory_mb is None


@pytest.mark.parametrize("end", ["Inference timings", "count=37"])
def test_a_run_that_did_not_end_is_no_result(end: str) -> None:
    cut = NEW[: NEW.index(end)] + "Aborted"
    with pytest.raises(LesionliteError, match="did not finish: .*Aborted"):
        parse(cut, "a.tflite", "Pixel 8", 2)


def test_files_are_pushed_run_and_removed(adb: Path) -> None:
    phone = find_phone(adb / "benchmark_model")
    good, bad = adb / "a-fp32.tflite", adb / "a-fp16.tflite"
    rows = time_on_phone(adb / "benchmark_model", phone, [good, bad], 2, 128, 10)
    assert rows[0].phone == "Pixel 8" and rows[0].p50_ms == 23.48
    assert rows[1].p50_ms is None and "Failed to load model" in rows[1].reason
    log = (adb / "log").read_text().splitlines()
    runs = [line for line in log if "--graph" in line]
    assert "--graph=/data/local/tmp/lesionlite/a-fp32.tflite" in runs[0]
    assert "--num_threads=2 --num_runs=128 --min_secs=10" in runs[0]
    assert log[-1] == "shell rm -rf /data/local/tmp/lesionlite"


def test_without_a_phone_there_is_a_sentence(adb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = adb / "benchmark_model"
    for devices, said in (
        ("List of devices attached\\n\\n", "adb sees no phone; connect one"),
        ("List of devices attached\\nab1\\tunauthorized\\n", "allow it on its screen"),
        ("List of devices attached\\na\\tdevice\\nb\\tdevice\\n", "ANDROID_SERIAL to one of: a, b"),
    ):
        monkeypatch.setenv("ADB_DEVICES", devices)
        with pytest.raises(LesionliteError, match=said):
            find_phone(tool)
    monkeypatch.setenv("ANDROID_SERIAL", "b")
    assert find_phone(tool) == "Pixel 8"
    monkeypatch.setenv("ANDROID_SERIAL", "c")
    with pytest.raises(LesionliteError, match="adb sees no phone c"):
        find_phone(tool)
    with pytest.raises(LesionliteError, match="there is no .*nothing; --android takes"):
        find_phone(adb / "nothing")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LesionliteError, match="needs adb"):
        find_phone(tool)


def test_the_benchmark_puts_the_phones_row_into_the_report(
    adb: Path, artifacts: Path, run: Path, drawn: Path
) -> None:
    config = BenchmarkConfig(queries=4, seconds=0.05, android=adb / "benchmark_model")
    report = benchmark(artifacts / "mobilevitv2_050-fp32.tflite", run, drawn, config)
    (row,) = report.document()["phone"]
    assert row["artifact"] == "mobilevitv2_050-fp32.tflite" and row["p50_ms"] == 23.48
    assert any("On the phone" in words for words in report.document()["caveats"])
    assert replace(report, phone=()).document()["phone"] == []
