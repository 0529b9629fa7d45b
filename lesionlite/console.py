"""What commands print: lines for people and, with --json, one document for programs."""

import _thread
import codecs
import errno
import json
import logging
import os
import sys
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lesionlite.documents import to_json
from lesionlite.errors import LesionliteError
from lesionlite.streams import Lenient, lenient_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.progress import Progress
    from rich.table import Table

    from lesionlite.command import Command

INTERRUPTED = 130  # exit code after Ctrl-C
_to_stderr = False
_quiet = False


def words_to_stderr(on: bool) -> None:
    """Send lines to stderr. With --json, stdout holds the JSON document alone."""
    global _to_stderr
    _to_stderr = on


def be_quiet(on: bool) -> None:
    """Print errors only. Of several processes that work together, one prints the rest."""
    global _quiet
    _quiet = on


def say(message: "str | Table" = "") -> None:
    """Print a line or a rich table for a person."""
    from rich.console import Console

    if _quiet:
        return

    # Names and fingerprints are no codes: not [b] for bold, nor :cd: for a picture of a disc.
    plain = Console(
        stderr=_to_stderr, highlight=False, emoji=False, soft_wrap=isinstance(message, str)
    )
    plain.print(message, markup=False)


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
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(file=sys.stderr, emoji=False),
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
    """Parse and run a command; print an error as one sentence.

    Returns:
        The exit code: 0 or 1 as the command returns it, 2 for an error that the user can mend, 130
        for Ctrl-C. It is also 2 if standard output cannot be written, unless its reader closed it.
    """
    words_to_stderr("--json" in arguments)
    with lenient_streams() as (out, _), _silent_libraries(), _ctrl_c_is_never_lost():
        try:
            code, problem = _run(arguments, parse, out)
        finally:
            words_to_stderr(False)
        out.flush()
        refused = out.refused()
        if problem:
            print(problem, file=sys.stderr)
        elif refused:
            code = 2
            print(
                f"lesionlite: the answer could not be written to standard output: {refused}; "
                "the work itself is done",
                file=sys.stderr,
            )
    return code


def _run(
    arguments: "Sequence[str]", parse: "Callable[[], Command]", out: Lenient
) -> tuple[int, str]:
    """The exit code and an error message, which is empty if all went well."""
    try:
        command = parse()
        document, code = command.run()
        if command.json and not _quiet:
            _print_document(document, out)
        return code, ""
    except SystemExit as stop:  # after --help was printed
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code)), ""
    except LesionliteError as error:
        return 2, f"lesionlite: {error}"
    except OSError as error:
        return 2, f"lesionlite: {storage_problem(error)}"
    except RecursionError:
        return 2, "lesionlite: something that was read is nested too deeply"
    except (MemoryError, RuntimeError) as error:
        if not _is_of_memory(error):
            raise
        return 2, (
            "lesionlite: there is not enough memory; a smaller --batch or --side, smaller images, "
            "or fewer --threads and --workers need less"
        )
    except KeyboardInterrupt:
        return INTERRUPTED, f"Stopped. Nothing is left half-written. {_how_to_go_on(arguments)}"


def _print_document(document: Any, out: Lenient) -> None:
    text = to_json(document)
    if codecs.lookup(out.encoding or "utf-8").name != "utf-8":  # escape all that is not ASCII
        text = json.dumps(json.loads(text), indent=2)
    print(text)


def _is_of_memory(error: Exception) -> bool:
    """Whether an error reports a lack of memory; torch raises a RuntimeError for it."""
    words = str(error).lower()
    return isinstance(error, MemoryError) or (
        "out of memory" in words or "can't allocate memory" in words
    )


@contextmanager
def _silent_libraries() -> "Iterator[None]":
    """Hide libraries' warnings, which tell users nothing to do; `python -W default` shows them."""
    if sys.warnoptions:
        yield
        return
    disabled = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.showwarning = lambda *_, **__: None  # even if a library sets its own filters
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)


@contextmanager
def _ctrl_c_is_never_lost() -> "Iterator[None]":
    """Raise KeyboardInterrupt again if Python dropped it.

    Python drops an exception that a weak reference's callback or a destructor raises, and Ctrl-C
    can come while one runs: torch has many. The command then went on as if nobody had asked.
    """
    before = sys.unraisablehook

    def again(dropped: "sys.UnraisableHookArgs") -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            threading.Timer(0.1, _thread.interrupt_main).start()  # once the callback has returned
        else:
            before(dropped)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before


def storage_problem(error: OSError) -> str:
    """A sentence that says what went wrong with a file or a disk, and what to do."""
    # A copy or a rename has two names; the second is the one that is written.
    name = error.filename if error.filename2 is None else error.filename2
    where = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
    at, it = (f" ({where})", where) if where else ("", "a file")
    known = {
        errno.ENOSPC: f"the disk is full{at}; free some space and run the command again",
        errno.EDQUOT: f"your quota of the disk is used up{at}; free some space and run the command "
        "again",
        errno.EROFS: f"{it} is on a read-only file system; choose another output folder",
        errno.EACCES: f"no permission for {it}; choose another folder or change its rights",
        errno.EPERM: f"no permission for {it}; choose another folder or change its rights",
        errno.ENOENT: f"there is no {where or 'such file'}",
        errno.EISDIR: f"{it} is a folder; a file is expected there",
        errno.ENOTDIR: f"{it} leads through a file; only folders can hold files",
        errno.EEXIST: f"{it} is there already; move it away",
        errno.ENOTEMPTY: f"the folder {where} is not empty; move away what is in it",
        errno.ENAMETOOLONG: f"the name {it} is too long for this file system; choose a shorter one",
        errno.ELOOP: f"{it} is a link that leads back to itself; remove it",
        errno.EMFILE: f"too many files are open{at}; allow more with `ulimit -n 4096`",
        errno.ENFILE: f"too many files are open on this machine{at}; close some programs",
        errno.EIO: f"the disk failed in reading or writing {it}; check the disk",
        errno.EXDEV: f"{it} is on another file system than what is to be moved there",
        errno.EINVAL: f"{it} cannot be read or written here; choose another place",
    }
    return known.get(error.errno or 0, f"{error.strerror or error}{at}")


def _how_to_go_on(arguments: "Sequence[str]") -> str:
    resumable = list(arguments[:1]) == ["train"] and "--resume" not in arguments
    same = "Run the same command" + (" with --resume" if resumable else "")
    return same + " to go on after the last finished " + ("epoch." if resumable else "step.")
