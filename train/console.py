"""One place where commands speak: words to people, and with --json one document to programs."""

import errno
import json
import sys
from typing import TYPE_CHECKING, Any

from train.errors import LesionliteError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.progress import Progress
    from rich.table import Table

    from train.commands import Command

_to_stderr = False
_quiet = False


def words_to_stderr(on: bool) -> None:
    """With --json, stdout belongs to the one JSON document; every word goes to stderr."""
    global _to_stderr
    _to_stderr = on


def be_quiet(on: bool) -> None:
    """One of several processes speaks for all: the others show errors of their own, and no more."""
    global _quiet
    _quiet = on


def say(message: "str | Table" = "") -> None:
    """Print a line or a rich table for a person."""
    from rich.console import Console

    if _quiet:
        return

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
        disable=_quiet,
    )


def track(items: "Iterable[Any]", description: str, total: int) -> "Iterable[Any]":
    """Yield `items` under a progress bar."""
    with progress() as bar:
        task = bar.add_task(description, total=total, note="")
        for item in items:
            yield item
            bar.advance(task)


def respond(arguments: "Sequence[str]", parse: "Callable[[], Command]") -> int:
    """Run the command that `parse` finds, and turn what goes wrong into a sentence.

    Returns:
        0 or 1 as the command says, 2 for what the user can mend, 130 for Ctrl-C.
    """
    words_to_stderr("--json" in arguments)
    try:
        command = parse()
        document, code = command.run()
        if command.json and not _quiet:
            print(json.dumps(document, indent=2, ensure_ascii=False))
        return code
    except LesionliteError as error:
        problem, code = f"lesionlite: {error}", 2
    except OSError as error:
        problem, code = f"lesionlite: {_storage_problem(error)}", 2
    except KeyboardInterrupt:
        problem, code = f"Stopped. Nothing is left half-written. {_how_to_go_on(arguments)}", 130
    finally:
        words_to_stderr(False)
    print(problem, file=sys.stderr)
    return code


def _storage_problem(error: OSError) -> str:
    """A sentence for what an operating system says of files and disks."""
    where = error.filename or "the output folder"
    known = {
        errno.ENOSPC: f"the disk is full ({where}); free some space and run the command again",
        errno.EROFS: f"{where} is on a read-only file system; choose another output folder",
        errno.EACCES: f"no permission for {where}; choose another folder or change its rights",
        errno.EPERM: f"no permission for {where}; choose another folder or change its rights",
    }
    return known.get(error.errno or 0, f"{error.strerror or error} ({where})")


def _how_to_go_on(arguments: "Sequence[str]") -> str:
    resumable = list(arguments[:1]) == ["train"] and "--resume" not in arguments
    same = "Run the same command" + (" with --resume" if resumable else "")
    return same + " to go on after the last finished " + ("epoch." if resumable else "step.")
