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

ALMOST_FULL = 32 << 20  # bytes: too few for the larger of our files


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_full(folder: Path) -> bool:
    return shutil.disk_usage(folder).free < ALMOST_FULL


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes `path`'s place, else it vanishes.

    Works for files and for folders (a Core ML package is one). The temporary name keeps the
    suffix, which some toolchains insist on. Ctrl-C counts as failure.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    _remove(temporary)
    try:
        yield temporary
        if path.is_dir():  # os.replace does not put one folder over another
            _remove(path)
        os.replace(temporary, path)
    except Exception as error:
        # safetensors, torch and the toolchains wrap a full disk in errors of their own.
        if not isinstance(error, OSError) and _is_full(path.parent):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    finally:
        _remove(temporary)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, all or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document, all or nothing."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The JSON document at `path`, or None if there is none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files and their names in order, as hex."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(str(file.relative_to(path)).encode() if file != path else b"")
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
