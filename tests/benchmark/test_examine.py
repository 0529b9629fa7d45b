"""Which processes stay open while artifacts are judged, and which end."""

from contextlib import ExitStack
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest

from lesionlite.benchmark import examine
from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.examine import Examiner
from lesionlite.contract import Contract
from lesionlite.export.manifest import Artifact

LABELS, TRUTH = ("a", "b"), np.arange(20) % 2
CONTRACT = Contract(labels=LABELS, side=32)
ANSWERS = (0.1 + 0.8 * np.eye(2)[TRUTH]).astype(np.float32)
ROWS = [
    Artifact(f"net-{precision}.{suffix}", name, precision, "", 0)
    for name, suffix, precision in (
        ("tflite", "tflite", "fp32"),
        *(("coreml", "mlpackage", precision) for precision in ("fp32", "fp16", "w8")),
    )
]


class Process:
    """Stands in for a candidate."""

    started: list["Process"]

    def __init__(self, path: Path, threads: int, _: object) -> None:
        self.started.append(self)
        self.path, self.threads, self.ended = path, threads, Event()
        self.runtime, self.contract, self.load_ms = "a runtime", CONTRACT.to_json(), 1.0

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def turn_to(self, path: Path) -> None:
        self.path = path

    def open(self) -> None:
        self.native = self.path.suffix != ".mlpackage"

    def close(self) -> None:
        self.ended.set()


class Images(SimpleNamespace):
    """Stands in for the evaluation set."""

    def __init__(self) -> None:
        names = tuple(map(str, TRUTH))
        super().__init__(names=names, truth=TRUTH, labels=LABELS, rejects=lambda _: None)

    def ask(self, candidate: Process, *_: object, **__: object) -> np.ndarray:
        return ANSWERS


class Broken(Images):
    """One file cannot be executed."""

    def ask(self, candidate: Process, *_: object, **__: object) -> np.ndarray:
        if "fp16" in candidate.path.name:
            raise ValueError("planted")
        return ANSWERS


class FullDisk(Images):
    """The disk is full for one file, while others are executed."""

    def ask(self, candidate: Process, *_: object, **__: object) -> np.ndarray:
        if "fp16" in candidate.path.name:
            raise OSError("the disk is full")
        assert candidate.ended.wait(30), "nobody ended the process"
        raise OSError("its process has ended")


def examiner(images: Images, stack: ExitStack, **settings: bool) -> Examiner:
    config = BenchmarkConfig(coreml_runtime="reference", **settings)  # type: ignore[arg-type]
    return Examiner(Path(), CONTRACT, images, ANSWERS, config, stack)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    monkeypatch.setattr(examine, "Candidate", Process)
    monkeypatch.setattr(Process, "started", [], raising=False)
    monkeypatch.setattr(examine.os, "cpu_count", lambda: 1)
    return Process.started


def test_one_process_executes_one_file_after_the_other(started: list[Process]) -> None:
    with ExitStack() as stack:
        judged = examiner(Images(), stack).examine_all(ROWS)
        assert [one.result.artifact for one in judged] == [row.artifact for row in ROWS]
        assert all(one.result.status == "pass" and one.answers is not None for one in judged)
        shared, tflite = started
        assert [one.candidate for one in judged] == [tflite, None, None, None]
        assert shared.ended.is_set() and not tflite.ended.is_set()


def test_what_failed_leaves_its_process_to_nobody(started: list[Process]) -> None:
    with ExitStack() as stack:
        judged = examiner(Broken(), stack).examine_all(ROWS)
    assert [one.result.status for one in judged] == ["pass", "pass", "unverified", "pass"]
    assert len(started) == 3


def test_what_is_asked_again_keeps_a_process_of_its_own(started: list[Process]) -> None:
    with ExitStack() as stack:
        judged = examiner(Images(), stack, resize_drift=True).examine_all(ROWS)
        assert {id(one.candidate) for one in judged} == {id(one) for one in started}
        assert len(started) == 4 and not any(one.ended.is_set() for one in started)


def test_an_error_ends_what_others_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine.os, "cpu_count", lambda: 6)  # all three at the same time
    with ExitStack() as stack, pytest.raises(OSError, match="full|ended"):
        examiner(FullDisk(), stack).examine_all(ROWS)
