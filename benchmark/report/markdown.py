"""report.md for people, report.csv for spreadsheets."""

import csv
from collections.abc import Iterable
from io import StringIO

from lesionlite.benchmark.against import sentences as against_sentences
from lesionlite.benchmark.report.cells import Columns, Document, cells, counted, flat
from lesionlite.benchmark.report.text import (
    caption,
    caveats,
    elsewhere_sentences,
    failures,
    resize_sentences,
    warnings,
)
from lesionlite.benchmark.targets.show import markdown as target_lines
from lesionlite.tables import markdown_lines

VERDICT: Columns = {
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
STATISTICS: Columns = {
    "artifact": "artifact",
    "change, 95 %": "interval",
    "became wrong": "became_wrong",
    "right": "became_right",
    "McNemar p": "mcnemar_p:.2g",
    "worst recall": "worst_recall",
    "mean |Δp|": "dp_mean:.1e",
    "p50": "dp_p50:.1e",
    "p90": "dp_p90:.1e",
    "p99": "dp_p99:.1e",
    "ECE": "expected_calibration_error:.4f",
}
INSTRUCTIONS: Columns = {
    "artifact": "artifact",
    "most in": "most_in",
    "instructions": "instructions:,",
}
ELSEWHERE: Columns = {
    "artifact": "artifact",
    "where": "where",
    "status": "status",
    "same answer as here": "top1_agreement:.4f",
    "max |Δp|": "max_abs_dp:.1e",
    "weighted F1 here": "host_weighted_f1:.4f",
    "there": "weighted_f1:.4f",
    "images": "images",
}
PHONE: Columns = {
    "artifact": "artifact",
    "phone": "phone",
    "p50 ms": "p50_ms:.1f",
    "p95 ms": "p95_ms:.1f",
    "mean ms": "mean_ms:.1f",
    "first ms": "first_ms:.1f",
    "load ms": "load_ms:.0f",
    "MiB": "memory_mb:.0f",
}
CSV = (  # columns of report.csv
    *("artifact", "format", "precision", "runtime", "status", "reason", "images", "weighted_f1"),
    *("delta_weighted_f1", "delta_low", "delta_high", "became_wrong", "became_right", "mcnemar_p"),
    *("macro_f1", "top1_agreement", "rejection_agreement", "mean_abs_dp", "max_abs_dp", "dp_mean"),
    *("dp_p50", "dp_p90", "dp_p99"),
    *("expected_calibration_error", "p50", "p90", "p90_bound", "p99", "mean"),
    *("queries", "noise", "energy_mj", "load_ms"),
    *("peak_memory_bytes", "instructions", "size_bytes"),
)


def markdown(document: Document) -> str:
    """The text of report.md."""
    rows = [flat(row) for row in document["rows"]]
    lines = [
        "# Benchmark report",
        "",
        f"**{'passed' if document['passed'] else 'NOT passed'}** — {caption(document)}",
        "",
        *(line for sentence in warnings(document) for line in (sentence, "")),
        *_table(rows, VERDICT, words=2),
        *(f"- {sentence}" for sentence in failures(document)),
        *([""] if failures(document) else []),
        "## How sure",
        "",
        *_table(rows, STATISTICS, words=1),
        *_instructions(rows),
        *_elsewhere(document),
        *_targets(document),
        *_phone(document),
        *_resizers(document),
        *_against(document),
        "## How it was measured",
        "",
        *(f"- {sentence}" for sentence in document["method"] + caveats(document)),
    ]
    return "\n".join(lines) + "\n"


def _table(rows: Iterable[Document], columns: Columns, words: int) -> list[str]:
    """The lines of a table, and an empty line after it."""
    return [*markdown_lines(tuple(columns), (cells(row, columns) for row in rows), words), ""]


def _instructions(rows: Iterable[Document]) -> list[str]:
    """What each file executes for one image."""
    shown = counted(rows)
    title = "## Instructions per query, on one thread"
    return [title, "", *_table(shown, INSTRUCTIONS, words=2)] if shown else []


def _elsewhere(document: Document) -> list[str]:
    """The answers of other runtimes and of emulated Arm cores."""
    rows = [row for row in document["elsewhere"] if row["status"] != "unverified"]
    if not rows:
        return []
    return [
        "## The same files elsewhere",
        "",
        *_table(rows, ELSEWHERE, words=3),
        *(f"- {sentence}" for sentence in elsewhere_sentences(document)),
        "",
    ]


def _targets(document: Document) -> list[str]:
    """Which targets take which files."""
    if document["targets"] is None:
        return []
    return ["## Targets", "", *target_lines(document["targets"]), ""]


def _phone(document: Document) -> list[str]:
    """The latencies on a phone."""
    if not document["phone"]:
        return []
    refused = [row for row in document["phone"] if row["reason"]]
    return [
        f"## On the phone, {document['phone'][0]['threads']} threads",
        "",
        *_table((row for row in document["phone"] if not row["reason"]), PHONE, words=2),
        *(f"- {row['artifact']}: {row['reason']}." for row in refused),
        *([""] if refused else []),
    ]


def _resizers(document: Document) -> list[str]:
    """What other ways to resize cost: a row per artifact, a column per way."""
    drift = document["resize_drift"]
    if drift is None:
        return []
    names = list(drift["tolerated"])
    change = {(r["artifact"], r["resizer"]): r["delta_weighted_f1"] for r in drift["rows"]}
    artifacts = dict.fromkeys(row["artifact"] for row in drift["rows"])
    rows = [[a, *(format(change[a, name], "+.4f") for name in names)] for a in artifacts]
    return [
        "## Other ways to resize",
        "",
        *(f"- {sentence}" for sentence in resize_sentences(drift)),
        "",
        *markdown_lines(("change of weighted F1", *names), rows),
        "",
    ]


def _against(document: Document) -> list[str]:
    if document["against"] is None:
        return []
    found = against_sentences(document["against"])
    return ["## Against an older report", "", *(f"- {sentence}" for sentence in found), ""]


def csv_text(document: Document) -> str:
    """The text of report.csv: one line per artifact. The nested parts are in report.json only."""
    text = StringIO()
    writer = csv.DictWriter(text, CSV, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat(row) for row in document["rows"])
    return text.getvalue()
