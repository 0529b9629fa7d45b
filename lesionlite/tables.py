"""Tables for people and for spreadsheets, among them the paper's tables of scores."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lesionlite.files import write_json, write_text
from lesionlite.layout import TABLES, TABLES_JSON
from lesionlite.metrics import Scores

if TYPE_CHECKING:
    from rich.table import Table as RichTable


@dataclass(frozen=True)
class Table:
    """A table: rows of text and numbers under columns."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def markdown(self) -> str:
        """Markdown, with four decimals."""
        body = [[_shown(value) for value in row] for row in self.rows]
        text = "\n".join(markdown_lines(self.columns, body))
        return f"**{self.title}**\n\n{text}\n"

    def csv(self) -> str:
        """CSV, with all digits."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return stream.getvalue()

    def document(self) -> dict[str, Any]:
        """A JSON document with an object for each row."""
        return {
            "title": self.title,
            "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
        }


def markdown_lines(
    columns: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1
) -> list[str]:
    """The lines of a Markdown table.

    Args:
        columns: Names.
        rows: One cell per column.
        words: Number of columns on the left that hold text; the others hold numbers.
    """
    lines = [_markdown_line(columns), "|" + "---|" * words + "---:|" * (len(columns) - words)]
    return [*lines, *(_markdown_line(row) for row in rows)]


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def terminal_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1, title: str = ""
) -> "RichTable":
    """A table for `console.say`; takes the arguments of `markdown_lines`."""
    from rich.table import Table

    table = Table(
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title=title or None,
        title_justify="left",
    )
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index < words else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def number(value: float | None, form: str) -> str:
    """A number in the format `form`; "" for what is not known."""
    return "" if value is None else format(value, form)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def overall_table(scores: Scores) -> Table:
    """Table 2: scores of all images and of each domain."""
    rows = [("all", scores), *scores.domains.items()]
    columns = ("part", "images", "accuracy", "weighted F1", "macro F1", "weighted AUC", "ECE")
    return Table(
        "table2",
        "Scores",
        columns,
        tuple(
            (
                name,
                s.images,
                s.accuracy,
                s.weighted_f1,
                s.macro_f1,
                s.weighted_auc,
                s.calibration_error,
            )
            for name, s in rows
        ),
    )


def class_table(scores: Scores) -> Table:
    """Table 3: precision, recall, F1 and images of each class."""
    return Table(
        "table3",
        "Scores of each class",
        ("class", "precision", "recall", "F1", "images"),
        tuple(
            (c.label, *((c.precision, c.recall, c.f1) if c.support else [None] * 3), c.support)
            for c in scores.classes
        ),
    )


def write_tables(out: Path, tables: Sequence[Table], note: str) -> None:
    """Write tables.md, tables.json, and a CSV file for each."""
    caveat = f"\nNote: {note}.\n" if note else ""
    write_text(out / TABLES, "\n".join(table.markdown() for table in tables) + caveat)
    write_json(
        out / TABLES_JSON, {"note": note, **{table.name: table.document() for table in tables}}
    )
    for table in tables:
        write_text(out / f"{table.name}.csv", table.csv())
