"""One place where commands speak: words to people, and with --json one document to programs."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.progress import Progress
    from rich.table import Table

_to_stderr = False


def words_to_stderr(on: bool) -> None:
    """With --json, stdout belongs to the one JSON document; every word goes to stderr."""
    global _to_stderr
    _to_stderr = on


def say(message: "str | Table" = "") -> None:
    """Print a line or a rich table for a person."""
    from rich.console import Console

    Console(stderr=_to_stderr, highlight=False, soft_wrap=isinstance(message, str)).print(
        message, markup=False
    )


def progress() -> "Progress":
    """A progress display (description, bar, count, time left) on stderr; use it as a context."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(file=sys.stderr),
    )


def track(items: "Iterable[Any]", description: str, total: int) -> "Iterable[Any]":
    """Yield `items` under a progress bar."""
    with progress() as bar:
        task = bar.add_task(description, total=total, note="")
        for item in items:
            yield item
            bar.advance(task)
