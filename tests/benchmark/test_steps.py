import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lesionlite.benchmark.steps import FinishedSteps, Stages
from lesionlite.outputs import writing_into
from lesionlite.usage import Usage, measured

HOLD = "import time; held = bytearray(b'1') * 300_000_000; time.sleep(1)"


def test_the_memory_of_other_processes_counts() -> None:
    with measured() as alone:
        sum(range(1000))
    with measured() as both:
        subprocess.run([sys.executable, "-c", HOLD], check=True)
    assert 0 < alone.seconds < 1 < both.seconds
    assert 250e6 < both.peak_memory_bytes - alone.peak_memory_bytes < 500e6
    assert str(Usage(125.2, 1_940_000_000)) == "2:05 min, 1.9 GB"


def test_a_copy_of_this_process_does_not_count_before_it_is_another_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD.replace("(1)", "(60)")]) as child:
        while psutil.Process(child.pid).memory_info().rss < 300e6:
            time.sleep(0.1)
        peaks = []
        for young in (3600.0, 0.0):
            monkeypatch.setattr("lesionlite.usage.YOUNG", young)
            with measured() as usage:
                pass
            peaks.append(usage.peak_memory_bytes)
        child.kill()
    assert peaks[1] - peaks[0] > 250e6


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process inherits no peak")
def test_the_peak_of_a_process_is_its_own() -> None:
    ask = "from resource import *; from lesionlite.usage import peak_memory; "
    ask += "print(peak_memory(), getrusage(RUSAGE_SELF).ru_maxrss * 1024)"
    parent = f"import subprocess, sys; held = bytearray(b'1') * 400_000_000; ask = {ask!r}; "
    parent += "subprocess.run([sys.executable, '-c', ask], check=True)"
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, check=True)
    own, inherited = map(int, done.stdout.split())
    assert 1e6 < own < 200e6
    assert inherited > 400e6  # or else `peak_memory` could ask getrusage


def test_stages_are_counted_and_remembered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for last, left in (("", ""), (" (last time 0:00 min, ", "; all that is left took 0:00 min)")):
        plan = {"train": False, "export": True, "benchmark": True}
        stages = Stages(FinishedSteps(tmp_path), plan)
        for name in ("export", "benchmark"):
            with writing_into(tmp_path), stages.stage(name):
                pass
        stages.say_what_they_took()
        first, second, *took = capsys.readouterr().out.splitlines()
        assert first.startswith("step 1 of 2: export" + last) and first.endswith(left)
        assert second.startswith("step 2 of 2: benchmark" + last) and "left" not in second
        assert [line.split(",")[0] for line in took] == ["export: 0:00 min", "benchmark: 0:00 min"]
    assert "export took" in json.loads((tmp_path / "steps.json").read_text())


@pytest.mark.parametrize(
    ("expected", "shown"),
    [
        (
            {"export": 130, "benchmark": 170},
            [
                " (export and benchmark after it: about 5 min)",
                " (about 2 min; all that is left: about 5 min)",
                " (less than a minute)",  # for this machine is fast
            ],
        ),
        ({"export": 130}, ["", " (about 2 min)", ""]),
        ({}, ["", "", ""]),
    ],
)
def test_a_first_build_says_how_long_it_may_take(
    expected: dict[str, float],
    shown: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = {"train": True, "export": True, "benchmark": True}
    stages = Stages(FinishedSteps(tmp_path), plan, lambda: expected)
    for name in plan:
        with writing_into(tmp_path), stages.stage(name):
            time.sleep(0.1 * (name == "export"))
    assert capsys.readouterr().out.splitlines() == [
        f"step {number} of 3: {name}{words}"
        for number, (name, words) in enumerate(zip(plan, shown, strict=True), 1)
    ]
    again = Stages(FinishedSteps(tmp_path), plan, lambda: pytest.fail("it is known"))
    for name in plan:
        with writing_into(tmp_path), again.stage(name):
            pass
    assert capsys.readouterr().out.count("last time") == 3


def test_a_stage_that_fails_is_not_remembered(tmp_path: Path) -> None:
    stages = Stages(FinishedSteps(tmp_path), {"export": True})
    with pytest.raises(ValueError), stages.stage("export"):
        raise ValueError
    assert "export took" not in FinishedSteps(tmp_path).record
