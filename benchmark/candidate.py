"""One artifact (or the reference run) under test, held open in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.errors import LesionliteError


class CandidateFailed(LesionliteError):
    """The candidate could not be loaded or executed; the text says why."""


class Candidate:
    """A worker process with one artifact in it; use as a context."""

    def __init__(self, path: Path, threads: int) -> None:
        self.path, self.threads = path, threads
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmark.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the parent, which ends its workers itself
        )
        self.load_ms, self.runtime, self.native, self.contract = 0.0, "", True, ""

    def __enter__(self) -> "Candidate":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()
        self.log.close()

    def open(self) -> None:
        """Load the artifact; CandidateFailed says why it cannot be."""
        answer = self._ask({"do": "load", "path": str(self.path), "threads": self.threads})
        self.load_ms, self.runtime = answer["load_ms"], answer["runtime"]
        self.native, self.contract = answer["native"], answer["contract"]

    def predict(self, images: Path, advance: Callable[[int], None]) -> NDArray[np.float32]:
        """Probabilities [N, C] of the uint8 [N, S, S, 3] images in a .npy file."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "probabilities.npy"
            self._ask({"do": "predict", "images": str(images), "out": str(out)}, advance)
            answers: NDArray[np.float32] = np.load(out)
        return answers

    def warm_up(self, images: Path) -> int:
        """Run until warm; returns the process's peak memory in bytes."""
        return int(self._ask({"do": "warm_up", "images": str(images)})["peak_memory_bytes"])

    def burst(self, images: Path, seconds: float) -> list[float]:
        """Times of single queries, in milliseconds, for about so many seconds."""
        answer = self._ask({"do": "burst", "images": str(images), "seconds": seconds})
        return [float(ms) for ms in answer["ms"]]

    def _ask(
        self, command: dict[str, Any], advance: Callable[[int], None] | None = None
    ) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise CandidateFailed(self._obituary()) from None
        for line in self.process.stdout:
            answer: dict[str, Any] = json.loads(line)
            if "progress" in answer:
                if advance is not None:
                    advance(answer["progress"])
            elif "error" in answer:
                raise CandidateFailed(answer["error"])
            else:
                return answer
        raise CandidateFailed(self._obituary())

    def _obituary(self) -> str:
        code = self.process.wait()
        self.log.seek(0)
        last = self.log.read().decode(errors="replace").strip().splitlines()[-1:]
        return f"the process of {self.path.name} ended with {code}: {' '.join(last)}"


def _environment() -> dict[str, str]:
    """This process's environment, with its import path, so that the worker finds our modules."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
