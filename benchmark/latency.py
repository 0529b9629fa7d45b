"""Single-stream latency: warm candidates take turns in bursts, so that drift hits all alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from lesionlite.benchmark.candidate import Candidate, CandidateFailed
from lesionlite.benchmark.energy import Energy
from lesionlite.console import progress

BURST_SECONDS = 0.5
SETTLED = 0.05  # warm is whose median of one window is that of the window before, to this
QUIET = 0.1  # of `Latency.noise`: beyond it two candidates cannot be compared
CONFIDENCE = 0.99


class Timeable(Protocol):
    """What can take a turn: a `Candidate`, or a browser's page."""

    path: Path

    def burst(self, images: Path, seconds: float) -> list[float]:
        """Times of single queries, in milliseconds, for about so many seconds."""


@dataclass(frozen=True)
class Latency:
    """Times of single queries at batch 1, in milliseconds.

    Attributes:
        p50: median.
        p90: 90th percentile.
        p90_bound: what the 90th percentile is below with 99 % confidence, as MLPerf's early
            stopping has it; None where the queries are too few to tell.
        p99: 99th percentile.
        mean: of all.
        queries: how many.
        noise: interquartile range of the bursts' medians over their median.
        energy_mj: of the whole machine's processor, in millijoules per query; None where the
            machine does not tell.
    """

    p50: float
    p90: float
    p90_bound: float | None
    p99: float
    mean: float
    queries: int
    noise: float
    energy_mj: float | None = None


def measure(
    candidates: Sequence[Timeable], images: Path, queries: int, seconds: float, name: str
) -> list[Latency]:
    """Time warm candidates in turns.

    Args:
        candidates: opened and warmed up.
        images: .npy file with uint8 [N, S, S, 3]; the first image is the query.
        queries: fewest per candidate.
        seconds: least time spent on each candidate's queries.
        name: of the progress bar.

    Returns:
        One record per candidate.
    """
    bursts: list[list[list[float]]] = [[] for _ in candidates]
    energy, joules = Energy(), [0.0] * len(candidates)
    with progress() as bar:
        task = bar.add_task(name, total=len(candidates) * queries, note="")
        while any(_wants_more(row, queries, seconds) for row in bursts):
            for index, (candidate, row) in enumerate(zip(candidates, bursts, strict=True)):
                if _wants_more(row, queries, seconds):
                    bar.update(task, note=candidate.path.name)
                    before = energy.read()
                    row.append(candidate.burst(images, min(BURST_SECONDS, seconds)))
                    joules[index] += energy.since(before)
            bar.update(task, completed=_done(bursts, queries, seconds), note="")
    spent = joules if energy.known else [None] * len(candidates)
    return [summary(row, used) for row, used in zip(bursts, spent, strict=True)]


def _wants_more(bursts: list[list[float]], queries: int, seconds: float) -> bool:
    return sum(map(len, bursts)) < queries or sum(map(sum, bursts)) < 1000 * seconds


def _done(bursts: list[list[list[float]]], queries: int, seconds: float) -> int:
    """Progress in queries, held back by whichever of the two conditions lags."""
    shares = [
        min(
            1.0,
            sum(map(len, row)) / queries,
            sum(map(sum, row)) / (1000 * seconds) if seconds else 1.0,
        )
        for row in bursts
    ]
    return round(queries * sum(shares))


def summary(bursts: Sequence[Sequence[float]], joules: float | None = None) -> Latency:
    """What so many bursts of single queries, in milliseconds, come to.

    Args:
        bursts: of one candidate, in the order they were made.
        joules: that all of them took.
    """
    times = [ms for burst in bursts for ms in burst]
    p50, p90, p99 = (float(q) for q in np.percentile(times, [50, 90, 99]))
    low, middle, high = np.percentile([np.median(burst) for burst in bursts], [25, 50, 75])
    return Latency(
        p50=p50,
        p90=p90,
        p90_bound=p90_bound(times),
        p99=p99,
        mean=float(np.mean(times)),
        queries=len(times),
        noise=float((high - low) / middle),
        energy_mj=None if joules is None else 1000 * joules / len(times),
    )


def p90_bound(times: Sequence[float]) -> float | None:
    """An upper 99 % confidence bound of the 90th percentile; None if the queries are too few.

    The order statistic that a binomial count of faster queries stays below (MLPerf Inference
    rules, appendix "Early Stopping Criterion").
    """
    from scipy.stats import binom

    rank = int(binom.ppf(CONFIDENCE, len(times), 0.9))
    return float(sorted(times)[rank]) if rank < len(times) else None


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
