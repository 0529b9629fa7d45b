"""Workers: what ends them, and which answers and names they take."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lesionlite.benchmark import worker
from lesionlite.benchmark.candidate import Candidate, CandidateFailed
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.predictor import Predictor
from lesionlite.export.format import Runner
from lesionlite.outputs import writing_into

BUSY = """
import sys
from pathlib import Path
from lesionlite.benchmark.candidate import Candidate
from lesionlite.outputs import writing_into
with writing_into(Path(sys.argv[1])), Candidate(Path("torch.mm"), 1, "kernel") as busy:
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
    command = {"images": str(images), "out": str(out), "rows": [0]}

    def ask(answer: np.ndarray) -> None:
        runner = Runner(lambda image: answer, "r")
        predictor = Predictor(Contract(("a", "b", "c"), 32), runner, tmp_path)
        with (tmp_path / "log").open("w") as answers:
            worker._predict(predictor, command, answers)

    ask(np.ones(3, np.float32))
    with pytest.raises(LesionliteError, match=r"\[1\] numbers, not one for each of the 3"):
        ask(np.ones(1, np.float32))
