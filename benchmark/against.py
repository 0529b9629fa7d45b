"""This report beside an older one: what became slower, larger or less right, for a user's CI."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.config import RegressionConfig
from train.documents import read_json
from train.errors import LesionliteError

Document = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One artifact, now and then; ratios above 1 and differences below 0 are worse.

    Attributes:
        artifact: file name.
        latency: ratio of medians, each in units of PyTorch's of its own run; None if not timed.
        size: ratio.
        weighted_f1: difference; None if it did not run, or other images were judged.
        reasons: what is worse than tolerated.
    """

    artifact: str
    latency: float | None
    size: float | None
    weighted_f1: float | None
    reasons: tuple[str, ...]


def read_report(path: Path) -> Document:
    """An older report.

    Raises:
        LesionliteError: if `path` is none.
    """
    document = read_json(path)
    if not isinstance(document, dict) or not {"rows", "reference", "machine"} <= document.keys():
        raise LesionliteError(f"--against {path} is no report.json of lesionlite benchmark")
    return document


def compare_reports(new: Document, old: Document, config: RegressionConfig) -> Document:
    """What `report.json` holds under "against".

    Args:
        new: this run's document.
        old: the older one.
        config: tolerances.

    Returns:
        `passed`, `caveats` (why something was not judged) and a row per artifact of the older
        report.
    """
    caveats = []
    same_machine = _machine(new) == _machine(old)
    if not same_machine:
        caveats.append(
            f"latency was not judged: the older report is of {' '.join(map(str, _machine(old)))}"
        )
    same_images = new["reference"]["support"] == old["reference"].get("support")
    if not same_images:
        caveats.append(
            f"weighted F1 was not judged: the older report is of {old['reference']['images']} "
            f"images, this one of {new['reference']['images']}"
        )
    now = {row["artifact"]: row for row in new["rows"]}
    units = _unit(new), _unit(old)
    steps = [
        _step(row, now.get(row["artifact"]), units, same_machine, same_images, config)
        for row in old["rows"]
    ]
    return {
        "report": str(config.against),
        "passed": not any(step.reasons for step in steps),
        "caveats": caveats,
        "rows": [asdict(step) for step in steps],
    }


def _machine(document: Document) -> tuple[Any, ...]:
    return tuple(document["machine"][key] for key in ("processor", "cores", "system", "threads"))


def _unit(document: Document) -> float:
    return float(document["reference"]["latency_ms"]["p50"])


def _step(
    old: Document,
    new: Document | None,
    units: tuple[float, float],
    same_machine: bool,
    same_images: bool,
    config: RegressionConfig,
) -> Step:
    if new is None:
        return Step(old["artifact"], None, None, None, ("it is no longer there",))
    reasons = []
    if old["status"] == "pass" != new["status"]:
        reasons.append(f"it passed then, and is {new['status']} now")
    latency = None
    if old["latency_ms"] and new["latency_ms"]:
        latency = (new["latency_ms"]["p50"] / units[0]) / (old["latency_ms"]["p50"] / units[1])
        if same_machine and latency > config.max_slowdown:
            reasons.append(f"{latency:.2f} times as slow, more than {config.max_slowdown:g}")
    size = new["size_bytes"] / old["size_bytes"]
    if size > config.max_growth:
        reasons.append(f"{size:.2f} times as large, more than {config.max_growth:g}")
    drop = None
    if same_images and None not in (old["weighted_f1"], new["weighted_f1"]):
        drop = new["weighted_f1"] - old["weighted_f1"]
        if -drop > config.max_f1_drop:
            reasons.append(f"weighted F1 fell by {-drop:.4f}, more than {config.max_f1_drop:g}")
    return Step(old["artifact"], latency, size, drop, tuple(reasons))


def sentences(against: Document) -> list[str]:
    """What became worse, and what was not judged."""
    worse = [
        f"{row['artifact']}: {'; '.join(row['reasons'])}"
        for row in against["rows"]
        if row["reasons"]
    ]
    verdict = "Something became worse" if worse else "Nothing became worse"
    return [*worse, *against["caveats"], f"{verdict} than in {against['report']}."]
