"""The matrix of files and targets in words, for a terminal and for report.md."""

from collections.abc import Iterable
from typing import Any

from lesionlite.console import say
from lesionlite.tables import markdown_lines, terminal_table

Document = dict[str, Any]
WORDS = {"wholly": "yes", "refused": "no", "faulty": "wrong", "warning": "perhaps", "unknown": "?"}
LEGEND = (
    "yes: taken wholly; a number: in so many pieces, with the CPU between; no: refused; wrong: the "
    "target computes an operation wrongly; perhaps, ?: cannot be told here."
)


def show(document: Document) -> None:
    """Print a row for each file, a column for each target, and why a cell is not `wholly`."""
    columns, rows = cells(document)
    say(terminal_table(columns, rows, words=len(columns)))
    say(LEGEND)
    for sentence in sentences(document):
        say(sentence)


def cells(document: Document) -> tuple[list[str], list[list[str]]]:
    """The columns and the rows of the matrix: a file, and a word for each target."""
    verdicts = document["verdicts"]
    targets = list(dict.fromkeys(one["target"] for one in verdicts))
    rows = []
    for artifact in dict.fromkeys(one["artifact"] for one in verdicts):
        found = {one["target"]: one for one in verdicts if one["artifact"] == artifact}
        rows.append([_short(artifact), *(_cell(found.get(target)) for target in targets)])
    return ["artifact", *targets], rows


def _short(artifact: str) -> str:
    """The name without the network's: w8a8.tflite."""
    return artifact.partition("-")[2] or artifact


def _cell(verdict: Document | None) -> str:
    if verdict is None:
        return ""
    if verdict["outcome"] == "in pieces":
        return f"{verdict['pieces']}"
    return WORDS[verdict["outcome"]]


def sentences(document: Document) -> list[str]:
    """Why files are not taken wholly. Files with the same reason share a sentence."""
    found = by_reason(
        (one["target"], f"{one['outcome']}: {one['sentence']}", one["artifact"])
        for one in document["verdicts"]
        if one["sentence"]
    )
    return [f"{target}, {names}: {why}." for target, why, names in found]


def by_reason(rows: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Rows of target, reason and artifact, with the artifacts of the same reason in one row."""
    files: dict[tuple[str, str], list[str]] = {}
    for target, reason, artifact in rows:
        files.setdefault((target, reason), []).append(artifact)
    return [(target, reason, ", ".join(names)) for (target, reason), names in files.items()]


def markdown(document: Document) -> list[str]:
    """The matrix as lines of Markdown."""
    columns, rows = cells(document)
    lines = markdown_lines(columns, rows, words=len(columns))
    return [*lines, "", LEGEND, "", *(f"- {sentence}" for sentence in sentences(document))]
