"""The result of a comparison: scores over seeds, files, the best trade-offs, the recommendation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from lesionlite.benchmark.compare.trials import VALIDATION, Measures

Z = 2.0  # standard errors: smaller differences may be chance
ALIKE = 1.1  # times the latency of another: about as fast


@dataclass(frozen=True)
class Score:
    """One measure over the seeds.

    Attributes:
        mean: Over the seeds.
        spread: Sample standard deviation over the seeds; None for one seed.
    """

    mean: float
    spread: float | None


@dataclass(frozen=True)
class File:
    """One file of a value.

    Attributes:
        artifact: File name.
        format: Of the file.
        precision: Of the file.
        status: pass, fail or unverified.
        reason: Why it did not pass, or "".
        weighted_f1: On the images that judged it; None if it could not be executed.
        agreement: Share of PyTorch's answers that it keeps, or None.
        size_bytes: Of the file.
        ms: Median latency; None if no native runtime executes it here.
        noise: Spread of the latency, as `Latency.noise`; None likewise.
        best_for_time: No passing file of this format has a better validation score and is faster.
        best_for_size: Likewise, with smaller instead of faster.
    """

    artifact: str
    format: str
    precision: str
    status: str
    reason: str
    weighted_f1: float | None
    agreement: float | None
    size_bytes: int
    ms: float | None
    noise: float | None
    best_for_time: bool = False
    best_for_size: bool = False


@dataclass(frozen=True)
class Entry:
    """What is known of one value.

    Attributes:
        value: Of the setting that varies; with --models, the network.
        model: timm's name.
        side: Of the input in pixels.
        seeds: Number of trainings.
        scores: By measure.
        run: Folder name of the run that the files are made of, which has the best validation score.
        parameters: Number of weights; None if no files were made.
        macs: Multiply-adds for one image; None likewise.
        files: Made of it.
        failed: A sentence for each thing that could not be made.
    """

    value: str
    model: str
    side: int
    seeds: int
    scores: dict[str, Score]
    run: str
    parameters: int | None = None
    macs: int | None = None
    files: tuple[File, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def chosen_by(self) -> Score:
        """Weighted F1 on validation."""
        return self.scores[VALIDATION]

    def fastest(self) -> File | None:
        """The passing file with the lowest latency."""
        timed = [file for file in self.files if file.status == "pass" and file.ms is not None]
        return min(timed, key=lambda file: file.ms or 0.0, default=None)


def over_seeds(runs: Sequence[Measures]) -> dict[str, Score]:
    """Mean and sample standard deviation of each measure over the runs of one value."""
    columns = {name: [run[name] for run in runs] for name in runs[0]}
    return {
        name: Score(fmean(values), stdev(values) if len(values) > 1 else None)
        for name, values in columns.items()
    }


def front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Whether each point is Pareto-optimal: no other is as good in both, and better in one.

    Args:
        points: Cost, where less is better, and score, where more is better.
    """
    return [
        not any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points)
        for cost, score in points
    ]


def with_fronts(entries: Sequence[Entry]) -> list[Entry]:
    """The values, with the passing files marked that are Pareto-optimal in their format."""
    fast = _optimal(entries, lambda file: file.ms)
    small = _optimal(entries, lambda file: file.size_bytes)

    def marked(value: str, file: File) -> File:
        key = value, file.artifact
        return replace(file, best_for_time=key in fast, best_for_size=key in small)

    return [replace(e, files=tuple(marked(e.value, file) for file in e.files)) for e in entries]


def _optimal(
    entries: Sequence[Entry], cost: Callable[[File], float | None]
) -> set[tuple[str, str]]:
    """The value and the name of each file on the front of its format; a cost may be unknown."""
    points: dict[str, list[tuple[float, float, tuple[str, str]]]] = {}
    for entry in entries:
        for file in entry.files:
            spent = cost(file)
            if file.status == "pass" and spent is not None:
                key = entry.value, file.artifact
                points.setdefault(file.format, []).append((spent, entry.chosen_by.mean, key))
    return {
        key
        for own in points.values()
        for (_, _, key), good in zip(own, front([point[:2] for point in own]), strict=True)
        if good
    }


def margin(a: Entry, b: Entry, images: int) -> float:
    """A difference of weighted F1 on validation that may be chance.

    It is two standard errors of the difference: of the means over seeds; or, where a value has one
    seed, of a share of that many validation images.

    Args:
        a: One value.
        b: The other one.
        images: Number of validation images.
    """
    first, second = a.chosen_by, b.chosen_by
    if first.spread is None or second.spread is None:
        parts = [score.mean * (1 - score.mean) / images for score in (first, second)]
    else:
        parts = [first.spread**2 / a.seeds, second.spread**2 / b.seeds]
    return Z * sqrt(sum(parts))


def _cost(entry: Entry) -> float:
    """Latency of the fastest passing file, in milliseconds; infinite if there is none."""
    file = entry.fastest()
    return float("inf") if file is None or file.ms is None else file.ms


def recommend(entries: Sequence[Entry], images: int) -> list[str]:
    """Which value to take, in words.

    Among those whose score on validation cannot be told from the best one's, the fastest one is
    recommended; or, of several that are about as fast, the one that scores most. A faster one that
    scores less is named beside it.

    Args:
        entries: The values.
        images: Number of validation images.
    """
    files = any(entry.files or entry.failed for entry in entries)
    usable = [entry for entry in entries if not files or entry.fastest()]
    if not usable:
        return ["Take none: no file passes."]
    best = max(usable, key=lambda entry: entry.chosen_by.mean)
    tied = [e for e in usable if best.chosen_by.mean - e.chosen_by.mean <= margin(e, best, images)]
    least = min(map(_cost, tied))
    quick = [entry for entry in tied if _cost(entry) <= ALIKE * least]
    taken = max(quick, key=lambda entry: entry.chosen_by.mean)
    words = [f"Take {taken.value}: {_score(taken)} on validation{_speed(taken)}."]
    if taken is not best:
        words.append(
            f"{best.value} scores more ({_score(best)}{_speed(best)}), but the difference may be "
            f"chance: it is below {margin(taken, best, images):.3f}."
        )
    faster = [e for e in usable if _cost(e) < _cost(taken) and e not in tied]
    if faster:
        other = max(faster, key=lambda entry: entry.chosen_by.mean)
        words.append(
            f"Where speed counts more, {other.value} is {_cost(taken) / _cost(other):.1f} times as "
            f"fast, with {_score(other)}{_speed(other)}."
        )
    if taken.seeds == 1:
        words.append("With one seed, nobody knows how much another training would differ.")
    return words


def _score(entry: Entry) -> str:
    score = entry.chosen_by
    spread = "" if score.spread is None else f" ± {score.spread:.3f}"
    return f"weighted F1 {score.mean:.3f}{spread}"


def _speed(entry: Entry) -> str:
    file = entry.fastest()
    if file is None:
        return ""
    return f", {file.ms:.2f} ms and {file.size_bytes / 1e6:.1f} MB as {file.artifact}"


def files_of(report: dict[str, Any] | None, times: dict[str, Any]) -> tuple[File, ...]:
    """The files in a report.

    Args:
        report: The content of report.json, or None.
        times: `Latency` by file name.
    """
    return tuple(
        File(
            **{key: row[key] for key in ("artifact", "format", "precision", "status", "reason")},
            weighted_f1=row["weighted_f1"],
            agreement=row["top1_agreement"],
            size_bytes=row["size_bytes"],
            ms=times[row["artifact"]].p50 if row["artifact"] in times else None,
            noise=times[row["artifact"]].noise if row["artifact"] in times else None,
        )
        for row in (report or {"rows": ()})["rows"]
    )
