"""Time our files, the default exports and matrix products in turns, each in its own process."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lesionlite.benchmark.candidate import OURS, Candidate, CandidateFailed
from lesionlite.benchmark.config import PeersConfig
from lesionlite.benchmark.latency import Turns, take_turns
from lesionlite.benchmark.peers.foreign import foreign
from lesionlite.benchmark.peers.limit import KERNEL, KERNELS, Limit, limit
from lesionlite.console import progress
from lesionlite.export.formats import format_by_suffix
from lesionlite.export.mil.count import Work


def counts(path: Path) -> str:
    """The `module:function` that counts a file's work, where it is counted instead of timed."""
    row = format_by_suffix(path)
    return row.work if row else ""


@dataclass(frozen=True)
class File:
    """One file of the comparison, or the reason why there is none.

    Attributes:
        path: The file, whether it exists or not.
        size_bytes: None if the file could not be made.
        work: Counted work, for a file that cannot be timed.
        reason: Why there is no file or no work.
    """

    path: Path
    size_bytes: int | None
    work: Work | None = None
    reason: str = ""

    @property
    def timed(self) -> bool:
        """Whether a runtime here can execute it."""
        return self.size_bytes is not None and not counts(self.path)


@dataclass(frozen=True)
class Round:
    """Measurements with one number of threads.

    Attributes:
        threads: Of each runtime.
        turns: By path of the file.
        limits: By arithmetic, fp32 and int8.
    """

    threads: int
    turns: Mapping[Path, Turns]
    limits: Mapping[str, Limit]


def time_round(
    threads: int, ours: list[File], defaults: list[File], query: "Query", config: PeersConfig
) -> Round:
    """Time everything that can be executed, in turns.

    A file that cannot be opened, or that stops, is in the result with its error.

    Raises:
        LesionliteError: No matrix product can be measured.
    """
    openers = {file.path: OURS for file in ours if file.timed}
    openers |= {file.path: foreign(query.shape, query.dtype) for file in defaults if file.timed}
    openers |= {Path(name): KERNEL for name in KERNELS}
    with ExitStack() as stack:
        candidates = {
            path: stack.enter_context(Candidate(path, threads, opener))
            for path, opener in openers.items()
        }
        errors = _open_all(candidates, query.images, config.seconds)
        able = [c for path, c in candidates.items() if path not in errors]
        pause = config.seconds / config.bursts
        name = f"{threads} thread{'s' if threads > 1 else ''}"
        measured = take_turns(able, query.images, config.bursts, pause, name)
    turns = {path: Turns((), (), error) for path, error in errors.items()}
    turns |= {c.path: row for c, row in zip(able, measured, strict=True)}
    limits = {}
    for arithmetic in ("fp32", "int8"):
        products = [candidates[Path(n)] for n, k in KERNELS.items() if k.arithmetic == arithmetic]
        rows = [(c.runtime, c.multiply_adds, turns[c.path].times) for c in products]
        limits[arithmetic] = limit(query.multiply_adds, rows)
    return Round(threads, turns, limits)


@dataclass(frozen=True)
class Query:
    """The input of every candidate.

    Attributes:
        images: .npy file, uint8 [1, S, S, 3], for our files.
        shape: Of the defaults' input.
        dtype: Of the defaults' input.
        multiply_adds: Of the network, for the limit.
    """

    images: Path
    shape: tuple[int, ...]
    dtype: str
    multiply_adds: int


def _open_all(
    candidates: Mapping[Path, Candidate], images: Path, seconds: float
) -> dict[Path, str]:
    """Open and warm up all candidates; the errors of those that failed."""
    errors = {}
    with progress() as bar:
        task = bar.add_task("opening", total=len(candidates), note="")
        for path, candidate in candidates.items():
            bar.update(task, note=path.name)
            try:
                candidate.open()
                candidate.warm_up(images, seconds)
            except CandidateFailed as error:
                errors[path] = str(error)
            bar.advance(task)
        bar.update(task, note="")
    return errors
