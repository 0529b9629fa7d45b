"""report.html: one file without outside resources, readable on phones and in dark mode."""

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any

from lesionlite.benchmark.report.cells import counted, flat
from lesionlite.benchmark.report.text import caveats, failures, images, verdict, warnings
from lesionlite.benchmark.targets.show import LEGEND, cells, sentences
from lesionlite.export.precision import PRECISIONS

Document = dict[str, Any]


def render(template: str, **values: Any) -> str:
    """The text of a page.

    Args:
        template: Its path in the package `lesionlite.benchmark`.
        values: What it shows.
    """
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("lesionlite.benchmark", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def html(document: Document) -> str:
    """The HTML of a report's document."""
    rows = [row for row in document["rows"] if row["weighted_f1"] is not None]
    worst = min(
        rows, key=lambda row: (row["delta_weighted_f1"], row["top1_agreement"]), default=None
    )
    shown = [("PyTorch", document["reference"])]
    if worst is not None:
        shown.append((worst["artifact"], worst))
    return render(
        "report/report.html",
        report=document,
        verdict=verdict(document),
        failures=failures(document),
        images=images(document),
        warnings=warnings(document),
        caveats=caveats(document),
        counted=counted(map(flat, document["rows"])),
        targets=_targets(document["targets"]),
        formats=list(dict.fromkeys(row["format"] for row in document["rows"])),
        precisions=[p for p in PRECISIONS if p in {row["precision"] for row in document["rows"]}],
        charts=_charts(document["reference"], rows),
        frame=FRAME,
        worst=worst,
        matrices=[(title, _shares(one["confusion"]), one) for title, one in shown],
    )


def _targets(document: Document | None) -> Document | None:
    """The matrix of targets: columns, rows, legend and sentences."""
    if document is None:
        return None
    columns, rows = cells(document)
    return {"columns": columns, "rows": rows, "legend": LEGEND, "sentences": sentences(document)}


def _shares(confusion: list[list[int]]) -> list[list[tuple[int, float]]]:
    """Each count, and its share of the images of the true class."""
    return [[(n, n / max(1, sum(row))) for n in row] for row in confusion]


@dataclass(frozen=True)
class Mark:
    """One artifact in a chart, in pixels; `low` and `high` are the ends of its interval."""

    x: float
    y: float
    low: float
    high: float
    row: Document


@dataclass(frozen=True)
class Chart:
    """Weighted F1 against a cost, ready to draw inside `FRAME`."""

    title: str
    marks: list[Mark]
    across: list[tuple[float, str]]
    up: list[tuple[float, str]]
    reference: float


FRAME = {"width": 480, "height": 270, "left": 52, "right": 468, "top": 10, "bottom": 236}


def _charts(reference: Document, rows: list[Document]) -> list[Chart]:
    """One chart against latency, for what was timed, and one against size."""
    timed = [(row["latency_ms"]["p50"], row) for row in rows if row["latency_ms"]]
    sized = [(row["size_bytes"] / 1e6, row) for row in rows]
    charts = (("median latency, ms", timed), ("file size, MB", sized))
    return [_chart(title, points, reference["weighted_f1"]) for title, points in charts if points]


def _chart(title: str, points: list[tuple[float, Document]], reference: float) -> Chart:
    """One chart, with costs on a logarithmic scale."""
    ends = [reference + row["delta_interval"][end] for _, row in points for end in ("low", "high")]
    low, high = min(ends, default=0), max(ends, default=1)
    margin = 0.06 * (high - low) or 0.01
    low, high = low - margin, high + margin
    costs = [cost for cost, _ in points]
    first, last = log10(min(costs) / 1.2), log10(max(costs) * 1.2)

    def x(cost: float) -> float:
        share = (log10(cost) - first) / (last - first)
        return FRAME["left"] + share * (FRAME["right"] - FRAME["left"])

    def y(score: float) -> float:
        share = (score - low) / (high - low)
        return FRAME["bottom"] - share * (FRAME["bottom"] - FRAME["top"])

    marks = [
        Mark(
            x(cost),
            y(row["weighted_f1"]),
            y(reference + row["delta_interval"]["low"]),
            y(reference + row["delta_interval"]["high"]),
            row,
        )
        for cost, row in points
    ]
    across = [(x(tick), f"{tick:g}") for tick in _log_ticks(10**first, 10**last)]
    up = [(y(tick), f"{tick:.3f}") for tick in _ticks(low, high)]
    return Chart(title, marks, across, up, y(reference))


def _ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers between low and high."""
    rough = (high - low) / 4
    power = 10.0 ** floor(log10(rough))
    step = next(s for s in (power, 2 * power, 5 * power, 10 * power) if s >= rough * 0.7)
    return [n * step for n in range(ceil(low / step), floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, 20 ... between low and high."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    return [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
