"""The page of a comparison: compare.html, .md, .csv, .json and .png."""

import base64
import csv
from collections.abc import Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lesionlite.benchmark.compare.config import CompareConfig
from lesionlite.benchmark.compare.figure import draw_comparison
from lesionlite.benchmark.compare.result import Entry, recommend
from lesionlite.benchmark.compare.trials import VALIDATION
from lesionlite.benchmark.report.html import render
from lesionlite.benchmark.report.machine import machine
from lesionlite.console import say
from lesionlite.export.toolchains import versions
from lesionlite.files import write_json, write_text
from lesionlite.outputs import refuse_foreign, remove
from lesionlite.tables import markdown_lines, number, terminal_table
from lesionlite.train.data.splits import Dataset

if TYPE_CHECKING:
    from rich.table import Table as RichTable

PAGES = ("compare.html", "compare.md", "compare.csv", "compare.json", "compare.png")
HTML, MARKDOWN, CSV, JSON, FIGURE = PAGES

Document = dict[str, Any]


def refuse_pages(out: Path) -> None:
    """Refuse a folder that holds files of the user in the place of a page.

    Raises:
        LesionliteError: It names the file.
    """
    for name in PAGES:
        refuse_foreign(out / name)


def document_of(entries: list[Entry], dataset: Dataset, config: CompareConfig) -> Document:
    """The contents of compare.json.

    Args:
        entries: The values, in the order in which they were named.
        dataset: What they were trained on.
        config: What was compared.
    """
    images = len(dataset.val.files)
    return {
        "setting": config.setting()[0],
        "recommendation": recommend(entries, images),
        "failures": _failures(entries),
        "entries": [asdict(entry) for entry in entries],
        "images": {
            "train": len(dataset.train.files),
            "val": images,
            "test": len(dataset.test.files) if dataset.test else 0,
        },
        "note": dataset.note,
        "disclaimer": dataset.disclaimer,
        "method": _method(config, dataset),
        "machine": machine(config.threads),
        "versions": versions(),
    }


def _method(config: CompareConfig, dataset: Dataset) -> list[str]:
    words = [
        "All are trained with the same settings but one, on the same images. ± is the sample "
        "standard deviation over the seeds.",
        "Validation chooses: the checkpoint of each training, the training that files are made of, "
        "and what is recommended. "
        + (
            "The test split has no part in it."
            if dataset.test
            else "There is no test split, so these scores are optimistic, and files are judged on "
            "validation, too."
        ),
    ]
    if config.files:
        here = machine(config.threads)
        words.append(
            f"Latency: median of at least {config.seconds:g} s of single queries on "
            f"{here['processor']} with {here['threads']} threads. The files of one format take "
            "turns, each in a process of its own; compare them within a format."
        )
    return words


def _failures(entries: list[Entry]) -> list[str]:
    """What does not pass, a sentence each."""
    return [
        sentence
        for entry in entries
        for sentence in (
            *(f"{entry.value}: {reason}" for reason in entry.failed),
            *(
                f"{entry.value}: {file.artifact} {file.status}: {file.reason}"
                for file in entry.files
                if file.status != "pass"
            ),
        )
    ]


def _millions(value: int | None, form: str) -> str:
    return number(None if value is None else value / 1e6, form)


def scores_table(document: Document) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the scores, best on validation first."""
    entries = sorted(
        document["entries"], key=lambda e: e["scores"][VALIDATION]["mean"], reverse=True
    )
    names = list(entries[0]["scores"])
    counted = any(entry["parameters"] for entry in entries)
    columns = [document["setting"], "side", "seeds", *names]
    columns += ["parameters, M", "mult.-adds, M"] * counted
    rows = []
    for entry in entries:
        row = [entry["value"], str(entry["side"]), str(entry["seeds"])]
        for name in names:
            score = entry["scores"].get(name, {"mean": None, "spread": None})
            spread = "" if score["spread"] is None else f" ± {score['spread']:.3f}"
            row.append(number(score["mean"], ".3f") + spread)
        if counted:
            row += [_millions(entry["parameters"], ".1f"), _millions(entry["macs"], ".0f")]
        rows.append(row)
    return columns, rows


FILE_COLUMNS = (
    *("of", "file", "format", "status", "weighted F1", "answers kept", "MB", "ms"),
    "best for",
)


def file_rows(document: Document) -> list[list[str]]:
    """One row per file, in the order of `FILE_COLUMNS`."""
    return [
        [
            entry["value"],
            file["artifact"],
            f"{file['format']} {file['precision']}",
            file["status"],
            number(file["weighted_f1"], ".3f"),
            number(file["agreement"], ".1%"),
            f"{file['size_bytes'] / 1e6:.1f}",
            number(file["ms"], ".2f"),
            " and ".join(w for w in ("time", "size") if file[f"best_for_{w}"]),
        ]
        for entry in document["entries"]
        for file in entry["files"]
    ]


def markdown(document: Document) -> str:
    """The text of compare.md."""
    columns, rows = scores_table(document)
    lines = [f"# Comparison of {document['setting']}", "", *document["recommendation"], ""]
    if document["failures"]:
        lines += ["## What does not pass", "", *(f"- {one}" for one in document["failures"]), ""]
    lines += ["## Scores", "", *markdown_lines(columns, rows), ""]
    if files := file_rows(document):
        lines += ["## Files", "", *markdown_lines(FILE_COLUMNS, files, words=4), ""]
        lines += [
            "*best for*: no passing file of this format scores more on validation and is as fast "
            "(time) or as small (size).",
            "",
            f"![Weighted F1 against latency]({FIGURE})",
            "",
        ]
    lines += ["## Method", "", *(f"- {one}" for one in document["method"])]
    lines += [f"- {one}." for one in (document["note"], document["disclaimer"]) if one]
    return "\n".join(lines) + "\n"


def csv_text(document: Document) -> str:
    """The text of compare.csv: a line per file, or per value if no files were made."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(document["entries"][0]["scores"])
    columns = (
        *("artifact", "format", "precision", "status", "weighted_f1", "agreement"),
        *("size_bytes", "ms", "noise", "best_for_time", "best_for_size"),
    )
    heads = [part for name in names for part in (name, f"± {name}")]
    writer.writerow([document["setting"], "side", "seeds", "parameters", "macs", *heads, *columns])
    for entry in document["entries"]:
        row = [entry[key] for key in ("value", "side", "seeds", "parameters", "macs")]
        for name in names:
            row += [entry["scores"][name]["mean"], entry["scores"][name]["spread"]]
        for file in entry["files"] or [dict.fromkeys(columns)]:
            writer.writerow([*row, *(file[key] for key in columns)])
    return text.getvalue()


def html(document: Document, picture: bytes | None) -> str:
    """The text of compare.html.

    Args:
        document: The contents of compare.json.
        picture: A PNG, or None.
    """
    columns, rows = scores_table(document)
    return render(
        "compare/compare.html",
        document=document,
        columns=columns,
        rows=rows,
        file_columns=FILE_COLUMNS,
        files=file_rows(document),
        picture=base64.b64encode(picture).decode() if picture else "",
    )


def write_pages(document: Document, out: Path) -> None:
    """Write all pages into `out`."""
    picture = None
    if any(file["ms"] for entry in document["entries"] for file in entry["files"]):
        draw_comparison(document, out / FIGURE)
        picture = (out / FIGURE).read_bytes()
    else:
        remove(out / FIGURE)  # of an earlier call that made files
    write_json(out / JSON, document)
    write_text(out / CSV, csv_text(document))
    write_text(out / MARKDOWN, markdown(document))
    write_text(out / HTML, html(document, picture))


# What fits into 80 columns, and the names there.
OF_SCORES = {
    "seeds": "seeds",
    VALIDATION: "F1, validation",
    "weighted F1, test": "F1, test",
    "macro F1, test": "macro F1, test",
}
OF_FILES = {
    "of": "of",
    "format": "format",
    "status": "status",
    "weighted F1": "F1",
    "answers kept": "kept",
    "MB": "MB",
    "ms": "ms",
}


def show(document: Document) -> None:
    """Print the scores, the failures and the recommendation, in 80 columns."""
    columns, rows = scores_table(document)
    say(_narrow(columns, rows, {columns[0]: columns[0], **OF_SCORES}, words=1))
    if files := file_rows(document):
        say(_narrow(FILE_COLUMNS, files, OF_FILES, words=3))
    for sentence in (*document["failures"], *document["recommendation"]):
        say(sentence)


def _narrow(
    columns: Sequence[str], rows: list[list[str]], names: dict[str, str], words: int
) -> "RichTable":
    """A table of some of the columns, with other names."""
    kept = [at for at, name in enumerate(columns) if name in names]
    cells = [[row[at] for at in kept] for row in rows]
    return terminal_table([names[columns[at]] for at in kept], cells, words)
