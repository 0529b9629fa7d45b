"""Compare a report with an older one: what became slower, larger or less accurate."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from lesionlite.benchmark.config import RegressionConfig
from lesionlite.documents import Mismatch, as_record, read_json, shown, structure
from lesionlite.errors import LesionliteError

Document = dict[str, Any]


@dataclass(frozen=True)
class ArtifactChange:
    """How one artifact changed; ratios above 1 and differences below 0 are worse.

    Attributes:
        artifact: File name.
        latency: Ratio of medians, each divided by PyTorch's in the same report; None if not timed.
        instructions: Ratio of instructions per query; None if not counted in both.
        size: Ratio of file sizes.
        weighted_f1: Difference; None if it did not run, or on other images.
        reasons: What became worse than tolerated.
    """

    artifact: str
    latency: float | None
    instructions: float | None
    size: float | None
    weighted_f1: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _PastLatency:
    p50: float

    def __post_init__(self) -> None:
        _above_zero("p50", self.p50)


@dataclass(frozen=True)
class _PastInstructions:
    per_query: int | None

    def __post_init__(self) -> None:
        if self.per_query is not None:
            _above_zero("per_query", self.per_query)


@dataclass(frozen=True)
class _PastRow:
    artifact: str
    status: Literal["pass", "fail", "unverified"]
    size_bytes: int
    weighted_f1: float | None
    latency_ms: _PastLatency | None
    instructions: _PastInstructions | None = None  # older reports have none

    def __post_init__(self) -> None:
        _above_zero("size_bytes", self.size_bytes)


@dataclass(frozen=True)
class _PastReference:
    images: int
    latency_ms: _PastLatency
    support: dict[str, int] | None = None


@dataclass(frozen=True)
class _PastMachine:
    processor: str
    cores: int | None
    system: str
    threads: int

    def __str__(self) -> str:
        return f"{self.processor} {self.cores} {self.system} {self.threads}"


@dataclass(frozen=True)
class Past:
    """The parts of a report that are compared. Divisors must be above zero."""

    rows: tuple[_PastRow, ...]
    reference: _PastReference
    machine: _PastMachine


def _above_zero(name: str, value: float) -> None:
    if value <= 0:
        raise Mismatch(name, "more than 0", shown(value))


def read_report(path: Path) -> Past:
    """Read an older report.

    Raises:
        LesionliteError: `path` is not a report, or damaged.
    """
    document = read_json(path)
    if document is None:
        raise LesionliteError(f"--against: there is no {path}")
    return past(document, path)


def past(document: Document, source: object) -> Past:
    """The parts of a report's document that are compared.

    Raises:
        LesionliteError: It is not a report; the message names `source` and the field.
    """
    try:
        return cast(Past, structure(document, Past, extra=True))
    except Mismatch as error:
        raise LesionliteError(
            f"--against {source} is no report.json of lesionlite benchmark, or damaged: {error}"
        ) from error


def compare_reports(document: Document, old: Past, config: RegressionConfig) -> Document:
    """Compare two reports; `report.json` holds the result under "against".

    Args:
        document: The new report.
        old: The older one.
        config: Tolerances.

    Returns:
        `passed`, `caveats` (why something was not judged) and a row for each artifact of the older
        report.
    """
    caveats = []
    new = as_record(document, Past, "this report", extra=True)
    same_machine = new.machine == old.machine
    if not same_machine:
        caveats.append(f"latency was not judged: the older report is of {old.machine}")
    same_images = new.reference.support == old.reference.support
    if not same_images:
        caveats.append(
            f"weighted F1 was not judged: the older report is of {old.reference.images} images, "
            f"this one of {new.reference.images}"
        )
    now = {row.artifact: row for row in new.rows}
    units = new.reference.latency_ms.p50, old.reference.latency_ms.p50
    steps = [
        _change(row, now.get(row.artifact), units, same_machine, same_images, config)
        for row in old.rows
    ]
    return {
        "report": str(config.against),
        "passed": not any(step.reasons for step in steps),
        "caveats": caveats,
        "rows": [asdict(step) for step in steps],
    }


def _change(
    old: _PastRow,
    new: _PastRow | None,
    units: tuple[float, float],
    same_machine: bool,
    same_images: bool,
    config: RegressionConfig,
) -> ArtifactChange:
    if new is None:
        return ArtifactChange(old.artifact, None, None, None, None, ("it is no longer there",))
    reasons = []
    if old.status == "pass" != new.status:
        reasons.append(f"it passed then, and is {new.status} now")
    latency = None
    if old.latency_ms and new.latency_ms:
        latency = (new.latency_ms.p50 / units[0]) / (old.latency_ms.p50 / units[1])
        if same_machine and latency > config.max_slowdown:
            reasons.append(f"{latency:.2f} times as slow, more than {config.max_slowdown:g}")
    instructions = _ratio(new.instructions, old.instructions)
    if instructions and instructions > config.max_more_instructions:
        reasons.append(
            f"{instructions:.3f} times as many instructions, more than "
            f"{config.max_more_instructions:g}"
        )
    size = new.size_bytes / old.size_bytes
    if size > config.max_growth:
        reasons.append(f"{size:.2f} times as large, more than {config.max_growth:g}")
    drop = None
    if same_images and old.weighted_f1 is not None and new.weighted_f1 is not None:
        drop = new.weighted_f1 - old.weighted_f1
        if -drop > config.max_f1_drop:
            reasons.append(f"weighted F1 fell by {-drop:.4f}, more than {config.max_f1_drop:g}")
    return ArtifactChange(old.artifact, latency, instructions, size, drop, tuple(reasons))


def _ratio(new: _PastInstructions | None, old: _PastInstructions | None) -> float | None:
    if new is None or old is None or new.per_query is None or old.per_query is None:
        return None
    return new.per_query / old.per_query


def sentences(against: Document) -> list[str]:
    """Sentences on what became worse and what was not judged."""
    worse = [
        f"{row['artifact']}: {'; '.join(row['reasons'])}"
        for row in against["rows"]
        if row["reasons"]
    ]
    verdict = "Something became worse" if worse else "Nothing became worse"
    return [*worse, *against["caveats"], f"{verdict} than in {against['report']}."]
