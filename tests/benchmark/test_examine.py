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
    Artifact(f"net-fp32.{suffix}", name, "fp32", "", 0)
    for name, suffix in (("tflite", "tflite"), ("coreml", "mlpackage"), ("onnx", "onnx"))
]


class Process:
    """Stands in for a candidate; counts how often it was opened."""

    def __init__(self, path: Path, threads: int, _: object) -> None:
        self.path, self.threads, self.ended = path, threads, Event()
        self.native, self.runtime = path.suffix != ".mlpackage", "a runtime"
        self.contract = CONTRACT.to_json()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        pass

    def close(self) -> None:
        self.ended.set()


class Images(SimpleNamespace):
    """Stands in for the evaluation set."""

    def __init__(self) -> None:
        names = tuple(map(str, TRUTH))
        super().__init__(names=names, truth=TRUTH, labels=LABELS, rejects=lambda _: None)

    def ask(self, candidate: Process, *_: object, **__: object) -> np.ndarray:
        return ANSWERS


class FullDisk(Images):
    """The disk is full for one file, while others are executed."""

    def ask(self, candidate: Process, *_: object, **__: object) -> np.ndarray:
        if candidate.path.suffix == ".onnx":
            raise OSError("the disk is full")
        assert candidate.ended.wait(30), "nobody ended the process"
        raise OSError("its process has ended")


def examiner(images: Images, stack: ExitStack, **settings: bool) -> Examiner:
    config = BenchmarkConfig(coreml_runtime="reference", **settings)  # type: ignore[arg-type]
    return Examiner(Path(), CONTRACT, images, ANSWERS, config, stack)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "Candidate", Process)


@pytest.mark.parametrize("resize_drift", [False, True])
def test_only_what_is_asked_again_stays_open(resize_drift: bool) -> None:
    with ExitStack() as stack:
        judged = examiner(Images(), stack, resize_drift=resize_drift).examine_all(ROWS)
        assert [one.result.artifact for one in judged] == [row.artifact for row in ROWS]
        assert all(one.result.status == "pass" and one.answers is not None for one in judged)
        tflite, coreml, onnx = (one.candidate for one in judged)
        assert (coreml is not None) == resize_drift
        for kept in (tflite, onnx, coreml):
            assert kept is None or not kept.ended.is_set()  # type: ignore[attr-defined]


def test_an_error_ends_what_others_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine.os, "cpu_count", lambda: 6)  # all three at the same time
    with ExitStack() as stack, pytest.raises(OSError, match="full|ended"):
        examiner(FullDisk(), stack).examine_all(ROWS)
