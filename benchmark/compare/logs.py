"""The log file of a process of a comparison, beside the folder that the process writes."""

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from lesionlite.outputs import list_as_ours, refuse_foreign


def log_of(folder: Path) -> Path:
    """The log file of a folder."""
    return folder.with_name(folder.name + ".log")


def claim_log(folder: Path) -> None:
    """List the log file as ours. Call it in the process that has locked the comparison's folder.

    Raises:
        LesionliteError: A file of the user is in its place.
    """
    refuse_foreign(log_of(folder))
    list_as_ours(log_of(folder))


@contextmanager
def writing_log(folder: Path) -> Iterator[None]:
    """Inside the block, all that is printed goes to the log file."""
    with (
        log_of(folder).open("w", encoding="utf-8", errors="backslashreplace") as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        yield
