"""The worker process that `candidate.py` starts. It opens one file at a time.

Runtimes disturb each other inside one process (ONNX Runtime's spinning threads nearly double
TFLite's time), and a runtime that crashes must not end the benchmark. For the commands, see
`protocol.py`.

The worker imports no toolchain itself: a command names the function that opens the file.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import IO

import numpy as np

from lesionlite.benchmark.latency import STEADY
from lesionlite.benchmark.protocol import (
    Burst,
    Call,
    Classify,
    Command,
    Done,
    Open,
    Opened,
    Settled,
    Times,
    from_line,
)
from lesionlite.benchmark.subject import Subject, Timed
from lesionlite.errors import LesionliteError
from lesionlite.export.format import named_function
from lesionlite.export.manifest import refuse_changed
from lesionlite.train.data.folders import refuse_unreadable_name
from lesionlite.usage import peak_memory
from lesionlite.workers import Answer, serve

WINDOW_RUNS, WINDOW_SECONDS = 10, 0.4  # the least of a window of the warm-up


def main() -> None:
    """Serve commands until standard input closes."""

    def answer_with(progress: IO[str]) -> Callable[[str], Answer]:
        worker = Worker(progress)
        return lambda line: asdict(worker.answer(from_line(line)))

    serve(answer_with)


class Worker:
    """Executes commands on the file that was opened last."""

    def __init__(self, progress: IO[str]) -> None:
        """Start without a file; `progress` takes a line for each classified image."""
        self._progress = progress
        self._subject: Subject | None = None

    def answer(self, command: Command) -> Done | Opened | Settled | Times:
        """Execute one command.

        Raises:
            LesionliteError: The command cannot be executed.
            Exception: Any error of a runtime or of the called function.
        """
        if isinstance(command, Call):
            named_function(command.function)(**command.arguments)
            return Done()
        if isinstance(command, Open):
            self._subject = None  # so that memory holds one file at a time
            if command.opener.emulated:
                self._subject = open_once(command)
                return _describe(self._subject)
            self._subject, load_ms = open_twice(command)
            return _describe_executed(self._subject, load_ms)
        if self._subject is None:
            raise LesionliteError("the worker has no file open")
        if isinstance(command, Classify):
            return classify(self._subject, command, self._progress)
        query = query_of(self._subject, command.images)
        if isinstance(command, Burst):
            return Times(tuple(burst(query, command.seconds)))
        return _warm_up(query, command.seconds)


def open_twice(command: Open) -> tuple[Subject, float]:
    """Open the file twice; return it, and the time of the second load in milliseconds.

    The first load is slower, because it also checks the hash and imports the runtime. A phone app
    does neither.
    """
    open_once(command)
    started = time.perf_counter()
    subject = _call_opener(command)
    return subject, 1000 * (time.perf_counter() - started)


def open_once(command: Open) -> Subject:
    """Check the file's hash, and open it."""
    refuse_unreadable_name(command.path)  # runtimes fail on it with unclear errors
    refuse_changed(command.path)
    return _call_opener(command)


def _call_opener(command: Open) -> Subject:
    opener = command.opener
    subject: Subject = named_function(opener.function)(
        path=command.path, threads=command.threads, **opener.arguments
    )
    return subject


def _describe(subject: Subject, load_ms: float = 0) -> Opened:
    if isinstance(subject, Timed):
        return Opened(load_ms, subject.runtime, multiply_adds=subject.multiply_adds)
    return Opened(load_ms, subject.runtime, subject.native, subject.contract.to_json())


def _describe_executed(subject: Subject, load_ms: float) -> Opened:
    """As `_describe`, after one query, with the memory that it needed."""
    described = _describe(subject, load_ms)
    if isinstance(subject, Timed):
        return described
    side = subject.contract.side
    subject.runner.classify(np.zeros((side, side, 3), np.uint8))  # some allocate here
    return replace(described, peak_memory_bytes=peak_memory())


def classify(subject: Subject, command: Classify, progress: IO[str]) -> Done:
    """Classify the images of a command, and write a line to `progress` for each.

    Raises:
        LesionliteError: The file cannot classify, or it does not give one number for each class.
    """
    if isinstance(subject, Timed):
        raise LesionliteError("this file can only be timed: it has no contract")
    images = np.load(command.images, mmap_mode="r")
    out = np.load(command.out, mmap_mode="r+")
    for row in command.rows:
        answer = np.asarray(subject.runner.classify(np.ascontiguousarray(images[row])))
        if answer.shape != out.shape[1:]:  # numpy would copy a single number to all classes
            raise LesionliteError(
                f"it answers with {list(answer.shape)} numbers, not one for each of the "
                f"{out.shape[1]} classes"
            )
        out[row] = answer
        progress.write(json.dumps({"progress": row}) + "\n")
    out.flush()
    return Done()


def query_of(subject: Subject, images: Path) -> Callable[[], object]:
    """A function that executes the subject once.

    Args:
        subject: an opened file.
        images: .npy file, uint8 [N, S, S, 3]; an artifact classifies the first image.
    """
    if isinstance(subject, Timed):
        return subject.query
    runner, image = subject.runner, np.ascontiguousarray(np.load(images, mmap_mode="r")[0])
    return lambda: runner.classify(image)


def burst(query: Callable[[], object], seconds: float) -> list[float]:
    """Query for about `seconds`, at least once; the times in milliseconds."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        started = time.perf_counter()
        query()
        times.append(1000 * (time.perf_counter() - started))
    return times


def _warm_up(query: Callable[[], object], seconds: float) -> Settled:
    """Query until the medians of two consecutive windows agree, or `seconds` have passed."""
    end = time.perf_counter() + seconds
    before, now = _window(query), _window(query)
    while abs(now / before - 1) > STEADY:
        if time.perf_counter() >= end:
            return Settled(False)
        before, now = now, _window(query)
    return Settled(True)


def _window(query: Callable[[], object]) -> float:
    """Median time of one window of queries, in milliseconds."""
    times: list[float] = []
    while len(times) < WINDOW_RUNS or sum(times) < 1000 * WINDOW_SECONDS:
        times += burst(query, 0)
    return median(times)


if __name__ == "__main__":
    main()
