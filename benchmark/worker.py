"""The other side of `benchmark.candidate`: one artifact in a process of its own.

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
from typing import IO, Any

import numpy as np

from benchmark.predictor import Predictor, load, open_unchecked
from train.errors import LesionliteError

WARM_UP_RUNS, WARM_UP_SECONDS = 10, 1.0


def main() -> None:
    """Serve commands until standard input closes."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    predictor: Predictor | None = None

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")

    for line in sys.stdin:
        command = json.loads(line)
        try:
            if command["do"] == "load":
                predictor, load_ms = _load(Path(command["path"]), command["threads"])
                answer(
                    load_ms=load_ms,
                    runtime=predictor.runtime,
                    native=predictor.native,
                    contract=predictor.contract.to_json(),
                )
            elif predictor is None:
                answer(error="nothing is loaded")
            else:
                answer(**_COMMANDS[command["do"]](predictor, command, answers))
        except LesionliteError as error:
            answer(error=str(error))
        except Exception as error:  # whatever a runtime throws becomes a row's reason
            answer(error=f"{type(error).__name__}: {error}")


def _load(path: Path, threads: int) -> tuple[Predictor, float]:
    """Open twice; the first time also checks the hash and imports the runtime: no phone does."""
    load(path, threads)
    started = time.perf_counter()
    predictor = open_unchecked(path, threads)
    return predictor, 1000 * (time.perf_counter() - started)


def _predict(predictor: Predictor, command: Any, answers: IO[str]) -> dict[str, Any]:
    images = np.load(command["images"], mmap_mode="r")
    out = np.empty((len(images), len(predictor.contract.labels)), np.float32)
    for index, image in enumerate(images):
        out[index] = predictor.runner.classify(np.ascontiguousarray(image))
        answers.write(json.dumps({"progress": index + 1}) + "\n")
    np.save(command["out"], out)
    return {"images": len(images)}


def _burst(predictor: Predictor, command: Any, answers: IO[str]) -> dict[str, Any]:
    """Query one image after another for so many seconds; times in milliseconds."""
    images = np.load(command["images"], mmap_mode="r")
    image = np.ascontiguousarray(images[0])
    times: list[float] = []
    end = time.perf_counter() + command["seconds"]
    while not times or time.perf_counter() < end:
        started = time.perf_counter()
        predictor.runner.classify(image)
        times.append(1000 * (time.perf_counter() - started))
    return {"ms": times}


def _warm_up(predictor: Predictor, command: Any, answers: IO[str]) -> dict[str, Any]:
    runs, end = 0, time.perf_counter() + WARM_UP_SECONDS
    while runs < WARM_UP_RUNS or time.perf_counter() < end:
        runs += len(_burst(predictor, {**command, "seconds": 0}, answers)["ms"])
    return {"runs": runs, "peak_memory_bytes": _peak_memory()}


def _peak_memory() -> int:
    """Largest resident set so far; Linux counts kibibytes, macOS bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


_COMMANDS: dict[str, Callable[[Predictor, Any, IO[str]], dict[str, Any]]] = {
    "predict": _predict,
    "burst": _burst,
    "warm_up": _warm_up,
}

if __name__ == "__main__":
    main()
