"""Write files completely or not at all; hash files to see whether they changed."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unicodedata import category

from lesionlite import outputs
from lesionlite.contract import NOT_IN_A_LINE
from lesionlite.documents import to_json
from lesionlite.errors import LesionliteError

ALMOST_FULL = 32 << 20  # bytes: too few for the larger of our files


def _is_full(folder: Path) -> bool:
    return shutil.disk_usage(folder).free < ALMOST_FULL


@contextmanager
def replacing(path: Path, ours: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, else it is deleted.

    This works for files and for folders, such as a Core ML package. The temporary name keeps the
    suffix, because some toolchains need it. Ctrl-C counts as failure.

    Args:
        path: the target; it may exist if lesionlite wrote it, see `lesionlite.outputs`.
        ours: whether the caller knows that lesionlite wrote the target.

    Raises:
        LesionliteError: the target is the user's, or it is a folder and a file is to replace it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not ours:
        outputs.refuse_foreign(path)
    outputs.sweep_beside(path)
    temporary = path.with_name(f"{outputs.HALF}{os.getpid()}-{path.name}")
    outputs.remove(temporary)
    try:
        yield temporary
        _put(temporary, path)
    except LesionliteError:
        raise
    except Exception as error:
        # safetensors, torch and the toolchains report a full disk by errors of their own, and the
        # error of a copy names the file that was read.
        number = error.errno if isinstance(error, OSError) else None
        if number is None and _is_full(path.parent):
            number = errno.ENOSPC
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(number, os.strerror(number), str(path)) from error
        raise
    finally:
        outputs.remove(temporary)


def _put(temporary: Path, path: Path) -> None:
    is_folder = path.is_dir() and not path.is_symlink()
    if os.path.lexists(path) and is_folder != temporary.is_dir():
        found, wanted = ("folder", "file") if is_folder else ("file", "folder")
        raise LesionliteError(f"{path} is a {found}, and a {wanted} of that name is to be written")
    outputs.list_as_ours(path)  # first, so that a command after a kill may overwrite it
    if not is_folder:
        os.replace(temporary, path)
        return
    aside = path.with_name(f"{outputs.OLD}{os.getpid()}-{path.name}")
    os.replace(path, aside)  # a rename cannot replace a folder that is not empty
    os.replace(temporary, path)
    outputs.remove(aside)


def write_text(path: Path, text: str, ours: bool = False) -> None:
    """Write `text` as UTF-8, all or nothing; see `replacing`. Lone surrogates are escaped."""
    with replacing(path, ours) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, document: Any, ours: bool = False) -> None:
    """Write a JSON document, all or nothing; see `replacing`."""
    write_text(path, to_json(document) + "\n", ours)


def inside(folder: Path, name: str, source: object) -> Path:
    """The path of `name` in `folder`. Names that come out of a file must be checked with this.

    Args:
        folder: the folder that the file must be in.
        name: the name that was read.
        source: where it was read, for errors.

    Raises:
        LesionliteError: `name` is not a plain file name; a path could lead out of the folder.
    """
    odd = set("/\\").union(c for c in name if category(c) in NOT_IN_A_LINE)
    plain = name not in ("", ".", "..") and not odd & set(name)
    if not plain:
        raise LesionliteError(
            f"{source} names {name!r}, which is no plain file name; it may name files in {folder} "
            "alone"
        )
    return folder / name


def below(folder: Path, path: str, source: object) -> Path:
    """Like `inside`, for a path of plain names separated by /."""
    place = folder
    for name in path.split("/"):
        place = inside(place, name, source)
    return place


def need_folder(path: Path, what: str = "") -> Path:
    """`path`, if it is a folder.

    Args:
        path: named by the user.
        what: start of the error message, such as "--ham10000: ".

    Raises:
        LesionliteError: if nothing or a file is there.
    """
    if path.is_dir():
        return path
    if os.path.lexists(path):
        kind = "a broken link" if not path.exists() else "no folder"
        raise LesionliteError(f"{what}{path} is {kind}; name a folder")
    raise LesionliteError(f"{what}there is no folder {path}")


def sha256_file(path: Path) -> str:
    """SHA-256 in hex: of a file, or of the names and contents of all files in a folder."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file != path and (not file.is_dir() or file.is_symlink()):
            digest.update(str(file.relative_to(path)).encode())
        if file.is_file():
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


def size_bytes(path: Path) -> int:
    """Size of a file, or the sum over a folder's files."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def fingerprint(document: Any) -> str:
    """SHA-256 of a JSON-able document, independent of key order."""
    text = json.dumps(document, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
