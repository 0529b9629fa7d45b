"""Single-stream latency: candidates that are warm take turns in short bursts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from lesionlite.benchmark.candidate import CandidateFailed
from lesionlite.benchmark.energy import Energy
from lesionlite.console import progress

BURST_SECONDS = 0.5
STEADY = 0.05  # a candidate is warm once the medians of two consecutive windows agree to 5 %
MAX_NOISE = 0.1  # above this `Latency.noise`, two candidates cannot be compared
CONFIDENCE = 0.99


class Timeable(Protocol):
    """What can be timed in turns: a `Candidate`, or a page in a browser."""

    path: Path

    def burst(self, images: Path, seconds: float) -> list[float]:
        """Query for about `seconds`; the time of each query in milliseconds."""


@dataclass(frozen=True)
class Latency:
    """Times of single queries at batch 1, in milliseconds.

    Attributes:
        p50: Median.
        p90: 90th percentile.
        p90_bound: Upper 99 % confidence bound of the 90th percentile (see the function
            `p90_bound`); None if there are too few queries.
        p99: 99th percentile.
        mean: Mean.
        queries: Number of queries.
        noise: Interquartile range of the bursts' medians, divided by their median.
        energy_mj: Millijoules per query, of all processors of the machine; None if unknown.
    """

    p50: float
    p90: float
    p90_bound: float | None
    p99: float
    mean: float
    queries: int
    noise: float
    energy_mj: float | None = None


@dataclass(frozen=True)
class Duration:
    """How long each candidate is timed: until all three minimums are reached.

    Attributes:
        bursts: Fewest bursts.
        queries: Fewest queries.
        seconds: Least time spent on queries.
    """

    bursts: int = 1
    queries: int = 1
    seconds: float = 0.0

    def share(self, bursts: Sequence[Sequence[float]]) -> float:
        """The share that is done after these bursts of times in milliseconds; 1 if all is done."""
        shares = [len(bursts) / self.bursts, sum(map(len, bursts)) / self.queries]
        if self.seconds:
            shares.append(sum(map(sum, bursts)) / (1000 * self.seconds))
        return min(1.0, *shares)


@dataclass
class _Record:
    """Measurements of one candidate: its bursts, their energy, and why it stopped early."""

    bursts: list[list[float]] = field(default_factory=list)
    joules: float | None = None
    error: str = ""


def _take_turns(
    candidates: Sequence[Timeable],
    images: Path,
    duration: Duration,
    burst_seconds: float,
    name: str,
    tolerant: bool,
) -> list[_Record]:
    """Time warm candidates in turns, one burst each, with a progress bar.

    Because they take turns, a machine that slows down affects all candidates equally. If
    `tolerant`, a candidate that fails takes no more turns, and the others continue. Otherwise
    CandidateFailed is raised.
    """
    rows, energy = [_Record() for _ in candidates], Energy()
    total = len(candidates) * max(duration.bursts, duration.queries)
    with progress() as bar:
        task = bar.add_task(name, total=total, note="")
        while any(not row.error and duration.share(row.bursts) < 1 for row in rows):
            for candidate, row in zip(candidates, rows, strict=True):
                if row.error or duration.share(row.bursts) >= 1:
                    continue
                bar.update(task, note=candidate.path.name)
                before = energy.read()
                try:
                    row.bursts.append(candidate.burst(images, burst_seconds))
                except CandidateFailed as error:
                    if not tolerant:
                        raise
                    row.error = str(error)
                if energy.known:
                    row.joules = (row.joules or 0.0) + energy.since(before)
            share = sum(1 if row.error else duration.share(row.bursts) for row in rows)
            bar.update(task, completed=round(total * share / len(rows)), note="")
    return rows


def measure(
    candidates: Sequence[Timeable], images: Path, queries: int, seconds: float, name: str
) -> list[Latency]:
    """Time warm candidates in turns.

    Args:
        candidates: Already opened and warmed up.
        images: .npy file with uint8 [N, S, S, 3]; the first image is the query.
        queries: Fewest queries per candidate.
        seconds: Least time spent on each candidate's queries.
        name: Title of the progress bar.

    Returns:
        One record per candidate, in their order.

    Raises:
        CandidateFailed: A candidate failed.
    """
    duration = Duration(queries=queries, seconds=seconds)
    burst = min(BURST_SECONDS, seconds)
    rows = _take_turns(candidates, images, duration, burst, name, tolerant=False)
    return [summary(row.bursts, row.joules) for row in rows]


def summary(bursts: Sequence[Sequence[float]], joules: float | None = None) -> Latency:
    """Summarize bursts as a latency.

    Args:
        bursts: All bursts of one candidate, in order; times in milliseconds.
        joules: Energy of all bursts together; None if unknown.
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
    """An upper 99 % confidence bound of the 90th percentile; None if there are too few queries.

    It is the order statistic whose rank is the 99 % quantile of a binomial distribution: the number
    of queries faster than the true percentile (MLPerf Inference rules, appendix "Early Stopping
    Criterion").
    """
    from scipy.stats import binom

    rank = int(binom.ppf(CONFIDENCE, len(times), 0.9))
    return float(sorted(times)[rank]) if rank < len(times) else None


@dataclass(frozen=True)
class Turns:
    """The turns of one candidate.

    Attributes:
        bursts: Median of each burst, in milliseconds. Entry i is of round i.
        times: Times of all queries, in milliseconds.
        error: Why it stopped early; "" if it did not.
    """

    bursts: tuple[float, ...]
    times: tuple[float, ...]
    error: str = ""


def take_turns(
    candidates: Sequence[Timeable], images: Path, rounds: int, seconds: float, name: str
) -> list[Turns]:
    """Time warm candidates for a number of rounds. If one fails, the others continue.

    Args:
        candidates: Already opened and warmed up.
        images: As in `measure`.
        rounds: Number of bursts of each candidate.
        seconds: Duration of each burst.
        name: Title of the progress bar.
    """
    rows = _take_turns(candidates, images, Duration(bursts=rounds), seconds, name, tolerant=True)
    return [
        Turns(
            tuple(float(np.median(burst)) for burst in row.bursts),
            tuple(ms for burst in row.bursts for ms in burst),
            row.error,
        )
        for row in rows
    ]
