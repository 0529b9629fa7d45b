"""Writing that never leaves half a file behind, and hashes that tell whether anything changed."""

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
    """Yield a temporary path beside `path`; on success it takes `path`'s place, else it vanishes.

    Works for files and for folders (a Core ML package is one). The temporary name keeps the
    suffix, which some toolchains insist on. Ctrl-C counts as failure.

    Args:
        path: where something of ours may lie already; see `lesionlite.outputs`.
        ours: whether the caller knows that whatever lies there is lesionlite's.

    Raises:
        LesionliteError: something of the user's lies there, or a folder where a file is to lie.
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
        # safetensors, torch and the toolchains wrap a full disk in errors of their own, and a
        # copy's error names the file that was read.
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
    outputs.list_as_ours(path)  # before: a killed command must be able to write it again
    if not is_folder:
        os.replace(temporary, path)
        return
    aside = path.with_name(f"{outputs.OLD}{os.getpid()}-{path.name}")
    os.replace(path, aside)  # there is no way to put one folder over another
    os.replace(temporary, path)
    outputs.remove(aside)


def write_text(path: Path, text: str, ours: bool = False) -> None:
    """Write `text` as UTF-8, all or nothing; see `replacing`. What no UTF-8 holds is escaped."""
    with replacing(path, ours) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, document: Any, ours: bool = False) -> None:
    """Write a JSON document, all or nothing; see `replacing`."""
    write_text(path, to_json(document) + "\n", ours)


def inside(folder: Path, name: str, source: object) -> Path:
    """The file called `name` in `folder`. Every name that is read from a file comes through here.

    Args:
        folder: that the file must lie in.
        name: as it was read.
        source: where it was read, named in errors.

    Raises:
        LesionliteError: if it is no plain name: a path would lead out of the folder.
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
    """As `inside`, of a path: plain names with / between them."""
    place = folder
    for name in path.split("/"):
        place = inside(place, name, source)
    return place


def need_folder(path: Path, what: str = "") -> Path:
    """`path`, if it is a folder.

    Args:
        path: that the user named.
        what: whose folder it is, as "--ham10000: "; stands before the sentence.

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
    """SHA-256 of a file, or of a folder's files and their names in order, as hex."""
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
