"""Single-stream latency: warm candidates take turns in bursts, so that drift hits all alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.candidate import Candidate, CandidateFailed
from train.console import progress

BURST_SECONDS = 0.5


@dataclass(frozen=True)
class Latency:
    """Times of single queries at batch 1, in milliseconds."""

    p50: float
    p90: float
    p99: float
    mean: float
    queries: int


def measure(
    candidates: Sequence[Candidate], images: Path, queries: int, seconds: float
) -> list[Latency]:
    """Time warm candidates in turns.

    Args:
        candidates: opened and warmed up.
        images: .npy file with uint8 [N, S, S, 3]; the first image is the query.
        queries: fewest per candidate.
        seconds: least time spent on each candidate's queries.

    Returns:
        One record per candidate.
    """
    times: list[list[float]] = [[] for _ in candidates]
    with progress() as bar:
        task = bar.add_task("latency", total=len(candidates) * queries, note="")
        while any(_wants_more(row, queries, seconds) for row in times):
            for candidate, row in zip(candidates, times, strict=True):
                if _wants_more(row, queries, seconds):
                    bar.update(task, note=candidate.path.name)
                    row += candidate.burst(images, min(BURST_SECONDS, seconds))
            bar.update(task, completed=_done(times, queries, seconds), note="")
    return [_summary(row) for row in times]


def _wants_more(times: list[float], queries: int, seconds: float) -> bool:
    return len(times) < queries or sum(times) < 1000 * seconds


def _done(times: list[list[float]], queries: int, seconds: float) -> int:
    """Progress in queries, held back by whichever of the two conditions lags."""
    shares = [
        min(1.0, len(row) / queries, sum(row) / (1000 * seconds) if seconds else 1.0)
        for row in times
    ]
    return round(queries * sum(shares))


def _summary(times: list[float]) -> Latency:
    p50, p90, p99 = np.percentile(times, [50, 90, 99])
    return Latency(float(p50), float(p90), float(p99), float(np.mean(times)), len(times))


@dataclass(frozen=True)
class Turns:
    """What one candidate did in its turns.

    Attributes:
        bursts: median of each burst, in milliseconds; entry i of all candidates is of one round.
        times: of all queries.
        error: why it stopped, or "".
    """

    bursts: tuple[float, ...]
    times: tuple[float, ...]
    error: str = ""


def take_turns(
    candidates: Sequence[Candidate], images: Path, rounds: int, seconds: float, name: str
) -> list[Turns]:
    """Time warm candidates for so many rounds of one burst each, with a progress bar.

    One that fails takes no more turns; the others go on.

    Args:
        candidates: opened and warmed up.
        images: as `measure` has it.
        rounds: bursts of each candidate.
        seconds: of each burst.
        name: of the progress bar.
    """
    bursts: list[list[list[float]]] = [[] for _ in candidates]
    errors = [""] * len(candidates)
    with progress() as bar:
        task = bar.add_task(name, total=rounds * len(candidates), note="")
        for _ in range(rounds):
            for index, candidate in enumerate(candidates):
                bar.update(task, advance=1, note=candidate.path.name)
                if errors[index]:
                    continue
                try:
                    bursts[index].append(candidate.burst(images, seconds))
                except CandidateFailed as error:
                    errors[index] = str(error)
        bar.update(task, note="")
    return [
        Turns(tuple(float(np.median(b)) for b in row), tuple(ms for b in row for ms in b), error)
        for row, error in zip(bursts, errors, strict=True)
    ]
