"""Workers: what ends them, and which answers and names they take."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lesionlite.benchmark import worker
from lesionlite.benchmark.candidate import Candidate, CandidateFailed
from lesionlite.benchmark.protocol import Classify, Open, Opener, Settled, from_line, to_line
from lesionlite.contract import Contract
from lesionlite.documents import Mismatch
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.predictor import Predictor
from lesionlite.export.format import Runner
from lesionlite.outputs import writing_into

BUSY = """
import sys
from pathlib import Path
from lesionlite.benchmark.candidate import Candidate
from lesionlite.benchmark.peers.limit import KERNEL
from lesionlite.outputs import writing_into
with writing_into(Path(sys.argv[1])), Candidate(Path("torch.mm"), 1, KERNEL) as busy:
    busy.open()
    print(busy.process.pid, flush=True)
    busy.burst(Path(), 600)
"""


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_worker_ends_with_its_parent_and_holds_no_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUSY, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    started = time.monotonic()
    with writing_into(tmp_path):  # at once, though the worker may live for a moment
        assert time.monotonic() - started < 1
    while is_alive(pid):
        assert time.monotonic() - started < 10
        time.sleep(0.05)


def test_names_of_any_bytes_come_through(tmp_path: Path) -> None:
    for name in ("a b", os.fsdecode(b"\xff\xc3\xa9")):
        with Candidate(tmp_path / name, 1) as candidate, pytest.raises(CandidateFailed) as error:
            candidate.open()
        assert "there is no artifact" in str(error.value) or "not UTF-8" in str(error.value)
        assert name == "a b" or r"\xff" in str(error.value)


def test_an_answer_of_another_shape_is_no_answer(tmp_path: Path) -> None:
    """numpy would spread one number over all classes."""
    images, out = tmp_path / "images.npy", tmp_path / "out.npy"
    np.save(images, np.zeros((1, 32, 32, 3), np.uint8))
    np.save(out, np.full((1, 3), np.nan, np.float32))
    command = Classify(images, out, (0,))

    def ask(answer: np.ndarray) -> None:
        runner = Runner(lambda image: answer, "r")
        predictor = Predictor(Contract(("a", "b", "c"), 32), runner, tmp_path)
        with (tmp_path / "log").open("w") as answers:
            worker.classify(predictor, command, answers)

    ask(np.ones(3, np.float32))
    with pytest.raises(LesionliteError, match=r"\[1\] numbers, not one for each of the 3"):
        ask(np.ones(1, np.float32))


def test_a_command_survives_its_line() -> None:
    for command in (
        Open(Path(os.fsdecode(b"\xff/a")), 2, Opener("m:f", {"shape": [1, 3], "name": None})),
        Classify(Path("images.npy"), Path("out.npy"), (3, 1)),
    ):
        line = to_line(command)
        assert line.isascii() and line.count("\n") == 1 and from_line(line) == command


@pytest.mark.parametrize(
    "line",
    [
        '{"command": "Classify", "images": "a", "out": "b", "rows": ["1"]}',
        '{"command": "Burst", "images": "a"}',
        '{"command": "WarmUp", "images": "a", "seconds": 1, "more": 1}',
    ],
)
def test_a_command_of_other_types_is_refused(line: str) -> None:
    with pytest.raises(Mismatch):
        from_line(line)


def test_the_worker_knows_no_room_above_it() -> None:
    source = Path(worker.__file__).read_text()
    assert not re.search(r"benchmark\.(elsewhere|peers|report|run)\b", source)


@pytest.mark.parametrize(
    ("windows", "seconds", "settled", "used"),
    [((9, 8, 8.1, 1), 4, True, 3), ((9, 8, 7, 6, 5, 4), 4, False, 5), ((9, 9.1), 0, True, 2)],
)
def test_a_warm_up_ends_when_times_are_steady_or_time_is_up(
    windows: tuple[float, ...],
    seconds: float,
    settled: bool,
    used: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left, clock = list(windows), iter(range(9))  # a second passes between two looks
    monkeypatch.setattr(worker, "_window", lambda query: left.pop(0))
    monkeypatch.setattr(worker.time, "perf_counter", lambda: next(clock))
    assert worker._warm_up(lambda: None, seconds) == Settled(settled)
    assert len(windows) - len(left) == used
