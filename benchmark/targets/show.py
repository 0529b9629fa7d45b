"""The matrix of files and targets in words, for a terminal and for report.md."""

from typing import Any

from lesionlite.console import say
from lesionlite.tables import markdown_lines, terminal_table

Document = dict[str, Any]


def show(document: Document) -> None:
    """Print a row for each file, a column for each target, and why a cell is not `wholly`."""
    columns, rows = cells(document)
    say(terminal_table(columns, rows, words=len(columns)))
    for sentence in sentences(document):
        say(sentence)


def cells(document: Document) -> tuple[list[str], list[list[str]]]:
    """The columns and the rows of the matrix: a short name of the file, and one word per target."""
    verdicts = document["verdicts"]
    targets = list(dict.fromkeys(one["target"] for one in verdicts))
    rows = []
    for artifact in dict.fromkeys(one["artifact"] for one in verdicts):
        found = {one["target"]: one for one in verdicts if one["artifact"] == artifact}
        rows.append([artifact, *(_cell(found.get(target)) for target in targets)])
    return ["artifact", *targets], rows


def _cell(verdict: Document | None) -> str:
    if verdict is None:
        return ""
    if verdict["outcome"] == "in pieces":
        return f"{verdict['pieces']} pieces" if verdict["pieces"] != 1 else "1 piece"
    return str(verdict["outcome"])


def sentences(document: Document) -> list[str]:
    """Why files are not taken wholly. Files with the same reason share a sentence."""
    files: dict[tuple[str, str], list[str]] = {}
    for one in document["verdicts"]:
        if one["sentence"]:
            key = one["target"], f"{one['outcome']}: {one['sentence']}"
            files.setdefault(key, []).append(one["artifact"])
    return [f"{target}, {', '.join(names)}: {why}." for (target, why), names in files.items()]


def markdown(document: Document) -> list[str]:
    """The matrix as lines of Markdown."""
    columns, rows = cells(document)
    lines = markdown_lines(columns, rows, words=len(columns))
    return [*lines, "", *(f"- {sentence}" for sentence in sentences(document))]
