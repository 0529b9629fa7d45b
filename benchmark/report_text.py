"""A benchmark's report in words: a terminal's table, report.md, report.csv."""

import csv
from io import StringIO
from typing import Any

from train.console import say

Document = dict[str, Any]
VERDICT = {  # what report.md's first table shows of a row, and how
    "artifact": "artifact",
    "status": "status",
    "weighted F1": "weighted_f1:.4f",
    "change": "delta_weighted_f1:+.4f",
    "agreement": "top1_agreement:.4f",
    "max |Δp|": "max_abs_dp:.1e",
    "p50 ms": "p50:.1f",
    "p90 ms": "p90:.1f",
    "p99 ms": "p99:.1f",
    "load ms": "load_ms:.0f",
    "MB": "megabytes:.1f",
}
STATISTICS = {
    "artifact": "artifact",
    "change, 95 %": "interval",
    "became wrong": "became_wrong",
    "right": "became_right",
    "McNemar p": "mcnemar_p:.2g",
    "worst recall": "worst_recall",
    "p50 |Δp|": "dp_p50:.1e",
    "p90": "dp_p90:.1e",
    "p99": "dp_p99:.1e",
    "ECE": "expected_calibration_error:.4f",
}
TERMINAL = {
    "artifact": "short",
    "status": "status",
    "w. F1": "weighted_f1:.4f",
    "change": "delta_weighted_f1:+.4f",
    "same": "top1_agreement:.4f",
    "max |Δp|": "max_abs_dp:.1e",
    "p50 ms": "p50:.1f",
    "p90 ms": "p90:.1f",
    "MB": "megabytes:.1f",
}
FLAT = (  # columns of report.csv
    *("artifact", "format", "precision", "runtime", "status", "reason", "images", "weighted_f1"),
    *("delta_weighted_f1", "delta_low", "delta_high", "became_wrong", "became_right", "mcnemar_p"),
    *("macro_f1", "top1_agreement", "mean_abs_dp", "max_abs_dp", "dp_p50", "dp_p90", "dp_p99"),
    *("expected_calibration_error", "p50", "p90", "p99", "mean", "queries", "load_ms"),
    *("peak_memory_bytes", "size_bytes"),
)


def _flat(row: Document) -> Document:
    """A row without nesting; what was not measured is None."""
    flat = {**row, **(row["latency_ms"] or dict.fromkeys(("p50", "p90", "p99", "mean", "queries")))}
    flat["short"] = f"{row['format']} {row['precision']}"
    flat["megabytes"] = row["size_bytes"] / 1e6
    interval = row["delta_interval"] or {"low": None, "high": None}
    flat["delta_low"], flat["delta_high"] = interval["low"], interval["high"]
    flat |= {f"dp_p{q}": (row["abs_dp"] or {}).get(f"p{q}") for q in (50, 90, 99)}
    flat["interval"] = flat["worst_recall"] = None
    if row["delta_recall"]:
        flat["interval"] = f"{interval['low']:+.4f} to {interval['high']:+.4f}"
        label = min(row["delta_recall"], key=row["delta_recall"].get)
        worst = row["delta_recall"][label]
        flat["worst_recall"] = f"{worst:+.3f} {label}" if worst else "0"
    return flat


def _cells(row: Document, columns: dict[str, str]) -> list[str]:
    """A row as words, one per column; what was not measured stays blank."""
    flat, cells = _flat(row), []
    for column in columns.values():
        name, _, form = column.partition(":")
        cells.append("" if flat[name] is None else format(flat[name], form))
    return cells


def _caption(document: Document) -> str:
    """What was compared with what, on what, in one line."""
    reference, note = document["reference"], document["note"]
    return (
        f"PyTorch (timm, float32): weighted F1 {reference['weighted_f1']:.4f} on "
        f"{reference['images']} images, {reference['latency_ms']['p50']:.1f} ms."
        + (f" {note.capitalize()}." if note else "")
    )


def _failures(document: Document) -> list[str]:
    return [
        f"{row['artifact']}: {row['status']}, {row['reason']}"
        for row in document["rows"]
        if row["reason"]
    ]


def show(document: Document) -> None:
    """Print the report for a person, in 80 columns; the files have the rest."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for index, name in enumerate(TERMINAL):
        table.add_column(name, justify="right" if index > 1 else "left", no_wrap=True)
    for row in document["rows"]:
        table.add_row(*_cells(row, TERMINAL))
    say(_caption(document))
    say(table)
    for sentence in [*_failures(document), *document["caveats"]]:
        say(sentence)
    say("Every artifact passes." if document["passed"] else "NOT every artifact passes.")


def _table(document: Document, columns: dict[str, str], words: int) -> list[str]:
    """Lines of a Markdown table whose first so many columns are words."""
    return [
        "| " + " | ".join(name.replace(" |Δp|", " \\|Δp\\|") for name in columns) + " |",
        "|---" * words + "|---:" * (len(columns) - words) + "|",
        *("| " + " | ".join(_cells(row, columns)) + " |" for row in document["rows"]),
        "",
    ]


def markdown(document: Document) -> str:
    """The report for people to keep."""
    lines = [
        "# Benchmark report",
        "",
        f"**{'passed' if document['passed'] else 'NOT passed'}** — {_caption(document)}",
        "",
        *_table(document, VERDICT, words=2),
        *(f"- {sentence}" for sentence in _failures(document)),
        *([""] if _failures(document) else []),
        "## How sure",
        "",
        *_table(document, STATISTICS, words=1),
        "## How it was measured",
        "",
        *(f"- {sentence}" for sentence in document["method"] + document["caveats"]),
    ]
    return "\n".join(lines) + "\n"


def csv_text(document: Document) -> str:
    """One line per artifact for a spreadsheet; the nested parts are in report.json."""
    text = StringIO()
    writer = csv.DictWriter(text, FLAT, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_flat(row) for row in document["rows"])
    return text.getvalue()
