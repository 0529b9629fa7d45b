"""The list of leaks as a CSV file: where it may go, and how it is written."""

import csv
import os
from io import StringIO
from pathlib import Path

from lesionlite.errors import LesionliteError
from lesionlite.files import write_text
from lesionlite.train.data.audit import AuditResult

COLUMNS = ("image", "like", "class", "reason")


def refuse_list_place(file: Path, data: Path, groups: Path | None = None) -> None:
    """Check that the list can be written, before the images are decoded.

    Args:
        file: the value of --out.
        data: the data folder.
        groups: the value of --groups.

    Raises:
        LesionliteError: `file` is `groups`, lies in `data`, cannot be written, or exists and is
            not an earlier list.
    """
    place = file.resolve()
    if groups is not None and place == groups.resolve():
        raise LesionliteError(f"--out {file} is the table that --groups names; choose another")
    if place.is_relative_to(data.resolve()):
        where = "is" if place == data.resolve() else "lies in"
        raise LesionliteError(
            f"--out {file} {where} {data}, the folder that is audited; choose another place"
        )
    parent = next(path for path in place.parents if os.path.lexists(path))
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        kind = "is no folder" if not parent.is_dir() else "may not be written into"
        raise LesionliteError(f"--out {file}: {parent} {kind}; choose another place")
    _refuse_other_file(file)


def _refuse_other_file(file: Path) -> None:
    """Refuse to replace anything but an earlier list."""
    if not os.path.lexists(file):
        return
    if not file.is_file():
        kind = "a folder" if file.is_dir() else "no regular file"
        raise LesionliteError(f"--out {file} is {kind}; name a CSV file to write")
    with file.open("rb") as stream:
        first = stream.readline(200)
    if first.strip() not in (b"", ",".join(COLUMNS).encode()):
        raise LesionliteError(
            f"--out {file} is no list of leaks that lesionlite wrote, and is not replaced; move it "
            "away, or choose another --out"
        )


def write_csv(found: AuditResult, file: Path) -> None:
    """Write every leak as a row: image, like, class, reason.

    Raises:
        LesionliteError: another file is there.
    """
    _refuse_other_file(file)
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((leak.image, leak.like, leak.label, leak.reason) for leak in found.leaks)
    write_text(file, text.getvalue(), ours=True)
