"""Convert an untrained network to a format in several precisions, and compare the answers."""

import io
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from lesionlite.export.check.simulated import LIMITS
from lesionlite.export.execute.partitions import Partitions
from lesionlite.export.format import Format, named_function
from lesionlite.export.formats import install_line
from lesionlite.export.source import Source
from lesionlite.files import size_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionlite.train.data.images import Pixels

THREADS = 2
SLOW = 4  # number of images for a reference executor, which takes seconds for each
RIGHT, WRONG, REFUSED, ABSENT = "right", "wrong", "refused", "not installed"
CRASHED = "crashed"


@dataclass(frozen=True)
class Converted:
    """What one format makes of a network in one precision.

    Attributes:
        format: its name.
        precision: its name.
        outcome: `right` if the file executes and answers as PyTorch does, or for w8a8 as the plan's
            simulation (see `Task.limits`), else `wrong`; `refused` if there is no file; `not
            installed`; `crashed`, if that ended the process, which only `benchmark/networks.py`
            survives.
        max_dp: largest |difference of a probability| to PyTorch on drawn images, or None.
        kept: number of images whose likeliest class is PyTorch's, or None.
        images: number of images.
        simulated: for w8a8, the largest |difference of a probability| to the plan's simulation in
            PyTorch, else None. It is the converter's and the runtime's part of `max_dp`.
        size_bytes: of the file, or None.
        seconds: that the conversion took, together with the format's other precisions.
        partitions: for ExecuTorch, what XNNPACK takes, else None.
        sentence: why it is not right; else "".
    """

    format: str
    precision: str
    outcome: str
    max_dp: float | None = None
    kept: int | None = None
    images: int = 0
    simulated: float | None = None
    size_bytes: int | None = None
    seconds: float = 0.0
    partitions: Partitions | None = None
    sentence: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is no file, or a wrong one, for another reason than a missing toolchain."""
        return self.outcome not in (RIGHT, ABSENT)


@dataclass(frozen=True)
class Task:
    """What every format is asked.

    Attributes:
        source: the network, with plans for the calibrated precisions.
        images: uint8 [N, S, S, 3].
        expected: PyTorch's probabilities, float32 [N, C].
        simulated: those of the plans' simulations, by calibrated precision.
        limits: by precision, the largest |difference of a probability| that is right. A file in a
            lower precision than fp16 that keeps half of the answers is right, too.
    """

    source: Source
    images: "Pixels"
    expected: "NDArray[np.float32]"
    simulated: "Mapping[str, NDArray[np.float32]]"
    limits: Mapping[str, float]


def attempt(row: Format, task: Task, precisions: Sequence[str]) -> list[Converted]:
    """Convert to one format in all `precisions`, and execute the files.

    If that fails, each precision is tried alone, to see which of them is refused.
    """
    if line := install_line([row.name]):
        return [Converted(row.name, name, ABSENT, sentence=line) for name in precisions]
    started = time.perf_counter()
    with TemporaryDirectory() as folder:
        paths = {name: Path(folder, f"network-{name}{row.suffix}") for name in precisions}
        try:
            with redirect_stderr(io.StringIO()):  # what toolchains print is in the exception, too
                row.convert(task.source, paths)
        except Exception as error:  # toolchains raise all kinds
            if len(precisions) > 1:
                return [one for name in precisions for one in attempt(row, task, [name])]
            return [_refused(row, precisions[0], error, started)]
        seconds = time.perf_counter() - started
        return [_compared(row, task, name, path, seconds) for name, path in paths.items()]


def _refused(row: Format, precision: str, error: Exception, started: float) -> Converted:
    said = f"{type(error).__name__}: {_first_lines(error)}"
    seconds = time.perf_counter() - started
    return Converted(row.name, precision, REFUSED, seconds=seconds, sentence=said)


def _compared(row: Format, task: Task, precision: str, path: Path, seconds: float) -> Converted:
    """Execute a file on the drawn images."""
    started = time.perf_counter()
    try:
        runner = row.toolchain().load(path, THREADS)
        images = task.images if runner.native else task.images[:SLOW]
        found = np.stack([runner.classify(image) for image in images])
        partitions = named_function(row.partitions)(path) if row.partitions else None
    except Exception as error:  # runtimes raise all kinds
        return _refused(row, precision, error, started - seconds)
    expected = task.simulated.get(precision, task.expected)
    apart, kept = _apart(found, expected), _kept(found, expected)
    limit = task.limits[precision]
    follows = precision not in LIMITS and 2 * kept >= len(images)
    right = apart is not None and (apart <= limit or follows)
    return Converted(
        format=row.name,
        precision=precision,
        outcome=RIGHT if right else WRONG,
        max_dp=_apart(found, task.expected),
        kept=_kept(found, task.expected),
        images=len(images),
        simulated=apart if precision in task.simulated else None,
        size_bytes=size_bytes(path),
        seconds=seconds,
        partitions=partitions,
        sentence="" if right else _fault(apart, limit, kept, len(images)),
    )


def _apart(found: "NDArray[np.float32]", expected: "NDArray[np.float32]") -> float | None:
    """The largest |difference|, or None if an answer is not finite."""
    return float(np.abs(found - expected[: len(found)]).max()) if np.isfinite(found).all() else None


def _kept(found: "NDArray[np.float32]", expected: "NDArray[np.float32]") -> int:
    """The number of images with the same likeliest class."""
    return int((found.argmax(1) == expected[: len(found)].argmax(1)).sum())


def _fault(apart: float | None, limit: float, kept: int, images: int) -> str:
    if apart is None:
        return "an answer is not finite"
    return (
        f"a probability is off by {apart:.1e}; at most {limit:.2g} may be "
        f"({kept} of {images} answers stay)"
    )


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] or "no message"
