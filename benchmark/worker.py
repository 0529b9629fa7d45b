"""The other side of `candidate.py`: one artifact in a process of its own.

It also opens what only `lesionlite peers` asks for, files of other makers and matrix products, and
converts with other toolchains' defaults.

Runtimes disturb each other inside one process (ONNX Runtime's spinning threads nearly double
TFLite's time), and a runtime that crashes must not take the benchmark along. Commands come as
JSON lines on standard input; answers leave as JSON lines on what was standard output, which is
moved out of the toolchains' way first.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from threading import Thread
from typing import IO, Any

import numpy as np

from lesionlite.benchmark.elsewhere.runtimes import open_other
from lesionlite.benchmark.latency import SETTLED
from lesionlite.benchmark.peers.foreign import Timed, open_foreign
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.predictor import Predictor, load, open_unchecked
from lesionlite.train.data.folders import refuse_unreadable_name

Subject = Predictor | Timed
WINDOW_RUNS, WINDOW_SECONDS, PATIENCE = 10, 0.4, 10.0  # of the warm-up


def main() -> None:
    """Serve commands until standard input closes."""
    Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    subject: Subject | None = None

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")

    for line in sys.stdin:
        command = json.loads(line)
        try:
            if command["do"] == "load":
                subject, load_ms = _load(command)
                answer(load_ms=load_ms, **_description(subject))
            elif command["do"] == "convert":
                answer(**_convert(command))
            elif subject is None:
                answer(error="nothing is loaded")
            else:
                answer(**_COMMANDS[command["do"]](subject, command, answers))
        except LesionliteError as error:
            answer(error=str(error))
        except Exception as error:  # whatever a runtime throws becomes a row's reason
            answer(error=f"{type(error).__name__}: {error}")


def _end_with_parent(parent: int) -> None:
    """A parent that was killed cannot end us, and a conversion may go on for minutes."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _load(command: Any) -> tuple[Subject, float]:
    """Open twice; the first time also checks the hash and imports the runtime: no phone does."""
    path, threads = Path(command["path"]), command["threads"]
    refuse_unreadable_name(path)  # the runtimes take text alone, and say so in riddles

    def open_once(opened: Callable[[Path, int], Predictor]) -> Subject:
        if command["kind"] == "foreign":
            return open_foreign(path, threads, tuple(command["shape"]))
        if command["kind"] == "kernel":
            from lesionlite.benchmark.peers.limit import open_kernel

            return open_kernel(path.name, threads)
        if command["kind"] != "ours":
            return open_other(command["kind"], path, threads)
        return opened(path, threads)

    open_once(load)
    started = time.perf_counter()
    subject = open_once(open_unchecked)
    return subject, 1000 * (time.perf_counter() - started)


def _description(subject: Subject) -> dict[str, Any]:
    if isinstance(subject, Timed):
        counted = {"multiply_adds": subject.multiply_adds}
        return {"runtime": subject.runtime, "native": True, "contract": "", **counted}
    side = subject.contract.side
    subject.runner.classify(np.zeros((side, side, 3), np.uint8))  # runtimes allocate late
    return {
        "runtime": subject.runtime,
        "native": subject.native,
        "contract": subject.contract.to_json(),
        "peak_memory_bytes": _peak_memory(),
    }


def _convert(command: Any) -> dict[str, Any]:
    """Write one toolchain's default export; here, so that a crash of it is a row's reason."""
    from lesionlite.benchmark.peers.defaults import DEFAULTS, Source
    from lesionlite.train.model import load_run

    network, contract = load_run(Path(command["run"]))
    calibration = np.load(command["images"]) if command["images"] else None
    ours = Path(command["ours"]) if command["ours"] else None
    source = Source(network, contract, calibration, ours)
    DEFAULTS[command["name"]].write(source, Path(command["path"]))
    return {}


def _predict(subject: Subject, command: Any, answers: IO[str]) -> dict[str, Any]:
    predictor = _predictor(subject)
    images = np.load(command["images"], mmap_mode="r")
    out = np.load(command["out"], mmap_mode="r+")
    for row in command["rows"]:
        answer = np.asarray(predictor.runner.classify(np.ascontiguousarray(images[row])))
        if answer.shape != out.shape[1:]:  # numpy would spread a single number over all classes
            raise LesionliteError(
                f"it answers with {list(answer.shape)} numbers, not one for each of the "
                f"{out.shape[1]} classes"
            )
        out[row] = answer
        answers.write(json.dumps({"progress": row}) + "\n")
    out.flush()
    return {"images": len(command["rows"])}


def _predictor(subject: Subject) -> Predictor:
    if isinstance(subject, Timed):
        raise LesionliteError("this file can be timed, but not asked: it has no contract")
    return subject


def _query(subject: Subject, images: str) -> Callable[[], object]:
    """One execution of the subject, on the first of the images if it is ours."""
    if isinstance(subject, Timed):
        return subject.query
    image = np.ascontiguousarray(np.load(images, mmap_mode="r")[0])
    return lambda: subject.runner.classify(image)


def _burst(subject: Subject, command: Any, answers: IO[str]) -> dict[str, Any]:
    """Query one image after another for so many seconds; times in milliseconds."""
    query = _query(subject, command["images"])
    times: list[float] = []
    end = time.perf_counter() + command["seconds"]
    while not times or time.perf_counter() < end:
        started = time.perf_counter()
        query()
        times.append(1000 * (time.perf_counter() - started))
    return {"ms": times}


def _warm_up(subject: Subject, command: Any, answers: IO[str]) -> dict[str, Any]:
    """Query until the times have settled, or patience ends."""
    end = time.perf_counter() + PATIENCE
    before = _window(subject, command, answers)
    while time.perf_counter() < end:
        now = _window(subject, command, answers)
        if abs(now / before - 1) <= SETTLED:
            return {"settled": True}
        before = now
    return {"settled": False}


def _window(subject: Subject, command: Any, answers: IO[str]) -> float:
    times: list[float] = []
    while len(times) < WINDOW_RUNS or sum(times) < 1000 * WINDOW_SECONDS:
        times += _burst(subject, {**command, "seconds": 0}, answers)["ms"]
    return median(times)


def _peak_memory() -> int:
    """Largest resident set so far; Linux counts kibibytes, macOS bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


_COMMANDS: dict[str, Callable[[Subject, Any, IO[str]], dict[str, Any]]] = {
    "predict": _predict,
    "burst": _burst,
    "warm_up": _warm_up,
}

if __name__ == "__main__":
    main()
