"""One file in a worker process: an artifact, the reference run, or another toolchain's file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from lesionlite.workers import Worker, WorkerFailed

OURS = Opener("lesionlite.export.execute.predictor:open_unchecked")
"""Opens a run or an artifact with its usual runtime. The worker checks its hash first."""


LONGEST_WARM_UP = 10.0  # seconds


class CandidateFailed(LesionliteError):
    """The candidate could not be loaded or executed; the text says why."""


class Candidate(Worker):
    """A worker process for one file; use it as a context manager."""

    def __init__(self, path: Path, threads: int, opener: Opener = OURS) -> None:
        """Start the process. Nothing is opened yet.

        Args:
            path: The run, the artifact or the other toolchain's file.
            threads: Number of threads that the runtime may use.
            opener: Function that opens `path` in the worker.
        """
        self.path, self.threads, self.opener = path, threads, opener
        super().__init__("lesionlite.benchmark.worker", path.name)
        self.load_ms, self.runtime, self.native, self.contract = 0.0, "", True, ""
        self.multiply_adds, self.peak_memory_bytes = 0, 0
        self.settled = True

    def turn_to(self, path: Path) -> None:
        """Let the process, whose file is done with, open another one; `open` does."""
        self.path, self._work = path, path.name

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

    def warm_up(self, images: Path, seconds: float = LONGEST_WARM_UP) -> None:
        """Query until the times are steady; `settled` says whether they became so.

        Args:
            images: .npy file with uint8 [N, S, S, 3]; the first image is the query.
            seconds: that the timing lasts; the warm-up does not last longer.
        """
        found: Settled = self._ask(WarmUp(images, min(seconds, LONGEST_WARM_UP)))
        self.settled = found.settled

    def burst(self, images: Path, seconds: float) -> list[float]:
        """Query for about `seconds`; the time of each query in milliseconds."""
        found: Times = self._ask(Burst(images, seconds))
        return list(found.ms)

    def _ask(self, command: Command, advance: Callable[[], None] | None = None) -> Any:
        """Send a command; return the answer, of the command's type `Answer`."""
        try:
            return structure(self.ask(to_line(command), advance), command.Answer)
        except WorkerFailed as error:
            raise CandidateFailed(str(error)) from error
