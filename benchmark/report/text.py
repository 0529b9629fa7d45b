"""A benchmark's report in words: a terminal's table, report.md, report.csv."""

import csv
from collections.abc import Iterable
from io import StringIO
from typing import Any

from lesionlite.benchmark.against import sentences as against_sentences
from lesionlite.benchmark.latency import Latency
from lesionlite.benchmark.resize import TOLERATED
from lesionlite.console import say
from lesionlite.tables import markdown_lines, terminal_table

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
    "mean |Δp|": "dp_mean:.1e",
    "p50": "dp_p50:.1e",
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
    *("macro_f1", "top1_agreement", "mean_abs_dp", "max_abs_dp", "dp_mean", "dp_p50", "dp_p90"),
    *("dp_p99", "expected_calibration_error", "p50", "p90", "p90_bound", "p99", "mean"),
    *("queries", "noise", "energy_mj", "load_ms"),
    *("peak_memory_bytes", "size_bytes"),
)


def _flat(row: Document) -> Document:
    """A row without nesting; what was not measured is None."""
    flat = {**row, **(row["latency_ms"] or dict.fromkeys(Latency.__annotations__))}
    flat["short"] = f"{row['format']} {row['precision']}"
    flat["megabytes"] = row["size_bytes"] / 1e6
    interval = row["delta_interval"] or {"low": None, "high": None}
    flat["delta_low"], flat["delta_high"] = interval["low"], interval["high"]
    flat |= {f"dp_{q}": (row["abs_dp"] or {}).get(q) for q in ("mean", "p50", "p90", "p99")}
    flat["interval"] = flat["worst_recall"] = None
    if row["delta_recall"]:
        flat["interval"] = f"{interval['low']:+.4f} to {interval['high']:+.4f}"
        label = min(row["delta_recall"], key=row["delta_recall"].get)
        worst = row["delta_recall"][label]
        flat["worst_recall"] = f"{worst:+.3f} {label}" if worst else "0"
    return flat


def _cells(flat: Document, columns: dict[str, str]) -> list[str]:
    """A row without nesting as words, one per column; what was not measured stays blank."""
    cells = []
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


def verdict(document: Document) -> str:
    """The whole in a few words."""
    if document["passed"]:
        few = document["too_few_images"]
        return "Every artifact passes" + (", but on too few images" if few else "")
    worse = document["against"] and not document["against"]["passed"]
    only_worse = worse and not failures(document)
    return "Something became worse" if only_worse else "NOT every artifact passes"


def failures(document: Document) -> list[str]:
    """Why not everything passes, a sentence each."""
    rows = [
        f"{row['artifact']}: {row['status']}, {row['reason']}"
        for row in document["rows"]
        if row["reason"]
    ]
    others = [
        f"{row['artifact']} on {row['where']}: {row['status']}, {row['reason']}"
        for row in document["elsewhere"]
        if row["status"] == "fail"
    ]
    return rows + others


def show(document: Document) -> None:
    """Print the report for a person, in 80 columns; the files have the rest."""
    rows = [_cells(_flat(row), TERMINAL) for row in document["rows"]]
    if document["too_few_images"]:
        say(document["too_few_images"])
    say(_caption(document))
    say(terminal_table(tuple(TERMINAL), rows, words=2))
    for sentence in [*failures(document), *_caveats(document)]:
        say(sentence)
    for sentence in elsewhere_sentences(document):
        say(sentence)
    for row in document["phone"]:
        say(f"{row['artifact']} on {row['phone']}: {row['reason'] or _phone_words(row)}")
    if document["resize_drift"]:
        for sentence in resize_sentences(document["resize_drift"]):
            say(sentence)
    if document["against"]:
        for sentence in against_sentences(document["against"]):
            say(sentence)
    say(verdict(document) + ".")


def _caveats(document: Document) -> list[str]:
    """All but the one that stands at the top."""
    return [words for words in document["caveats"] if words != document["too_few_images"]]


def _lines(rows: Iterable[Document], columns: dict[str, str], words: int) -> list[str]:
    """A Markdown table, an empty line behind it, whose first so many columns are words."""
    return [*markdown_lines(tuple(columns), (_cells(row, columns) for row in rows), words), ""]


def markdown(document: Document) -> str:
    """The report for people to keep."""
    rows = [_flat(row) for row in document["rows"]]
    lines = [
        "# Benchmark report",
        "",
        f"**{'passed' if document['passed'] else 'NOT passed'}** — {_caption(document)}",
        "",
        *([document["too_few_images"], ""] if document["too_few_images"] else []),
        *_lines(rows, VERDICT, words=2),
        *(f"- {sentence}" for sentence in failures(document)),
        *([""] if failures(document) else []),
        "## How sure",
        "",
        *_lines(rows, STATISTICS, words=1),
        *_elsewhere(document),
        *_phone(document),
        *_resizers(document),
        *_against(document),
        "## How it was measured",
        "",
        *(f"- {sentence}" for sentence in document["method"] + _caveats(document)),
    ]
    return "\n".join(lines) + "\n"


ELSEWHERE = {
    "artifact": "artifact",
    "where": "where",
    "status": "status",
    "same answer as here": "top1_agreement:.4f",
    "max |Δp|": "max_abs_dp:.1e",
    "weighted F1 here": "host_weighted_f1:.4f",
    "there": "weighted_f1:.4f",
    "images": "images",
}
PHONE = {
    "artifact": "artifact",
    "phone": "phone",
    "p50 ms": "p50_ms:.1f",
    "p95 ms": "p95_ms:.1f",
    "mean ms": "mean_ms:.1f",
    "first ms": "first_ms:.1f",
    "load ms": "load_ms:.0f",
    "MiB": "memory_mb:.0f",
}


def _elsewhere(document: Document) -> list[str]:
    """A table of what other runtimes and emulated Arm cores answered."""
    rows = [row for row in document["elsewhere"] if row["status"] != "unverified"]
    if not rows:
        return []
    return [
        "## The same files elsewhere",
        "",
        *_lines(rows, ELSEWHERE, words=3),
        *(f"- {sentence}" for sentence in elsewhere_sentences(document)),
        "",
    ]


def elsewhere_sentences(document: Document) -> list[str]:
    """How far each other runtime and core agrees with the usual one, and what was not run."""
    words = []
    for where in dict.fromkeys(row["where"] for row in document["elsewhere"]):
        rows = [row for row in document["elsewhere"] if row["where"] == where]
        asked = [row for row in rows if row["max_abs_dp"] is not None]
        if asked:
            good = sum(row["status"] == "pass" for row in asked)
            most = max(row["max_abs_dp"] for row in asked)
            words.append(f"{where}: {good} of {len(asked)} answer alike, max |Δp| {most:.1e}.")
    reasons = (row["reason"] for row in document["elsewhere"] if row["status"] == "unverified")
    return words + [f"Not run: {reason}." for reason in sorted(set(reasons))]


def _phone_words(row: Document) -> str:
    times = {"p50": row["p50_ms"], "mean": row["mean_ms"], "loaded in": row["load_ms"]}
    return ", ".join(f"{name} {ms:.1f} ms" for name, ms in times.items() if ms is not None)


def _phone(document: Document) -> list[str]:
    """A table of what was measured on a phone."""
    if not document["phone"]:
        return []
    refused = [row for row in document["phone"] if row["reason"]]
    return [
        f"## On the phone, {document['phone'][0]['threads']} threads",
        "",
        *_lines((row for row in document["phone"] if not row["reason"]), PHONE, words=2),
        *(f"- {row['artifact']}: {row['reason']}." for row in refused),
        *([""] if refused else []),
    ]


def _resizers(document: Document) -> list[str]:
    """A table of what other resizers cost: an artifact a line, a resizer a column."""
    drift = document["resize_drift"]
    if drift is None:
        return []
    names = list(drift["tolerated"])
    change = {(r["artifact"], r["resizer"]): r["delta_weighted_f1"] for r in drift["rows"]}
    artifacts = dict.fromkeys(row["artifact"] for row in drift["rows"])
    return [
        "## Other ways to resize",
        "",
        *(f"- {sentence}" for sentence in resize_sentences(drift)),
        "",
        *markdown_lines(
            ("change of weighted F1", *names),
            ([a, *(format(change[a, name], "+.4f") for name in names)] for a in artifacts),
        ),
        "",
    ]


def resize_sentences(drift: Document) -> list[str]:
    """Which resizers an app may use."""
    good = "; ".join(name for name, fine in drift["tolerated"].items() if fine)
    bad = "; ".join(name for name, fine in drift["tolerated"].items() if not fine)
    words = f"No artifact loses more than {TOLERATED} of weighted F1 by resizing so: {good}."
    return ([words] if good else []) + ([f"Some lose more: {bad}."] if bad else [])


def _against(document: Document) -> list[str]:
    if document["against"] is None:
        return []
    found = against_sentences(document["against"])
    return ["## Against an older report", "", *(f"- {sentence}" for sentence in found), ""]


def csv_text(document: Document) -> str:
    """One line per artifact for a spreadsheet; the nested parts are in report.json."""
    text = StringIO()
    writer = csv.DictWriter(text, FLAT, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_flat(row) for row in document["rows"])
    return text.getvalue()
