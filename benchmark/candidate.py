"""One file in a worker process: an artifact, the reference run, or another toolchain's file."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import lesionlite
from lesionlite.benchmark.protocol import (
    Burst,
    Call,
    Classify,
    Command,
    Open,
    Opened,
    Opener,
    Settled,
    Times,
    WarmUp,
    to_line,
)
from lesionlite.documents import structure
from lesionlite.errors import LesionliteError

OURS = Opener("lesionlite.export.execute.predictor:open_unchecked")
"""Opens a run or an artifact with its usual runtime. The worker checks its hash first."""


class CandidateFailed(LesionliteError):
    """The candidate could not be loaded or executed; the text says why."""


class Candidate:
    """A worker process for one file; use it as a context manager."""

    def __init__(self, path: Path, threads: int, opener: Opener = OURS) -> None:
        """Start the process. Nothing is opened yet.

        Args:
            path: The run, the artifact or the other toolchain's file.
            threads: Number of threads that the runtime may use.
            opener: Function that opens `path` in the worker.
        """
        self.path, self.threads, self.opener = path, threads, opener
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lesionlite.benchmark.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            encoding="ascii",  # JSON escapes other characters, so any locale works
            env=worker_environment(),
            start_new_session=True,  # Ctrl-C reaches only the parent, which ends its workers
        )
        self.load_ms, self.runtime, self.native, self.contract = 0.0, "", True, ""
        self.multiply_adds, self.peak_memory_bytes = 0, 0
        self.settled = True

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
        """Open the file.

        Raises:
            CandidateFailed: It cannot be opened; the text says why.
        """
        found: Opened = self._ask(Open(self.path, self.threads, self.opener))
        self.load_ms, self.runtime, self.native = found.load_ms, found.runtime, found.native
        self.contract, self.multiply_adds = found.contract, found.multiply_adds
        self.peak_memory_bytes = found.peak_memory_bytes

    def call(self, function: str, **arguments: Any) -> None:
        """Call a function in the worker process, so that a crash there does not end this one.

        Args:
            function: "module:function".
            arguments: JSON values or paths.

        Raises:
            CandidateFailed: The function raised an error, or the process ended.
        """
        self._ask(Call(function, arguments))

    def predict(
        self, images: Path, out: Path, rows: NDArray[np.int64], advance: Callable[[], None]
    ) -> None:
        """Classify some of the images in a .npy file.

        Args:
            images: uint8 [N, S, S, 3].
            out: Existing .npy file, float32 [N, C]; the same rows are filled.
            rows: Indices of the images.
            advance: Called after each image.

        Raises:
            CandidateFailed: The file cannot classify them.
        """
        self._ask(Classify(images, out, tuple(rows.tolist())), advance)

    def warm_up(self, images: Path) -> None:
        """Query until the times are steady; `settled` says whether they became so."""
        found: Settled = self._ask(WarmUp(images))
        self.settled = found.settled

    def burst(self, images: Path, seconds: float) -> list[float]:
        """Query for about `seconds`; the time of each query in milliseconds."""
        found: Times = self._ask(Burst(images, seconds))
        return list(found.ms)

    def _ask(self, command: Command, advance: Callable[[], None] | None = None) -> Any:
        """Send a command; return the answer, of the command's type `Answer`."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(to_line(command))
            self.process.stdin.flush()
        except BrokenPipeError:
            raise CandidateFailed(self._how_it_ended()) from None
        for line in self.process.stdout:
            answer = cast(dict[str, Any], json.loads(line))
            if "progress" in answer:
                if advance is not None:
                    advance()
            elif "error" in answer:
                raise CandidateFailed(answer["error"])
            else:
                return structure(answer, command.Answer)
        raise CandidateFailed(self._how_it_ended())

    def _how_it_ended(self) -> str:
        """The exit code of the worker and the last line of its log."""
        code = self.process.wait()
        self.log.seek(0)
        last = self.log.read().decode(errors="replace").strip().splitlines()[-1:]
        return f"the process of {self.path.name} ended with {code}: {' '.join(last)}"


def worker_environment() -> dict[str, str]:
    """The environment of the worker: this process's, with the folder of lesionlite in PYTHONPATH.

    The rest of `sys.path` is left out, because a script's folder may hold a file like json.py.
    """
    home = str(Path(lesionlite.__file__).parents[1])
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), home))),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
