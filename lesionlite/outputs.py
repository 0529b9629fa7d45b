"""Output folders. One command writes into a folder at a time, and nothing of the user's is lost.

Each folder has a file `.lesionlite`, which lists what lesionlite wrote there. Only listed files are
ever replaced or deleted. Files that are being written have temporary names, so that the next
command can delete what a killed command left.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lesionlite.errors import LesionliteError

MARK = ".lesionlite"
HALF, OLD = ".lesionlite-half-", ".lesionlite-old-"  # + process + "-" + name
ABOUT = "# lesionlite wrote the files named here, and replaces nothing else in this folder.\n"
WAIT = 5.0  # seconds: child processes of a killed command keep its lock for a moment


@dataclass(frozen=True)
class _Claim:
    """A folder that this process writes into, and the names that lesionlite wrote there."""

    folder: Path
    names: set[str]


_claims: dict[Path, _Claim] = {}


@contextmanager
def writing_into(out: Path, **inputs: Path | None) -> Iterator[None]:
    """Lock a folder for this process, and delete what a killed process left half-written there.

    The folder is created if it is missing, and removed again if it stays empty.

    Args:
        out: the value of --out.
        inputs: paths that are read meanwhile, by their names in errors.

    Raises:
        LesionliteError: `out` is a file, `out` and an input contain each other, or another process
            writes into `out`.
    """
    refuse_overlap(out, **inputs)
    if out.exists() and not out.is_dir():
        raise LesionliteError(f"{out} is a file; --out must be a folder")
    place = out.resolve()
    if place in _claims:
        yield
        return
    made = _make(place)
    lock = os.open(place, os.O_RDONLY)
    try:
        _lock(lock, out)
        _sweep(place)
        _claims[place] = _Claim(place, _listed(place))
        yield
    finally:
        _claims.pop(place, None)
        os.close(lock)
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def refuse_overlap(out: Path, **inputs: Path | None) -> None:
    """Refuse an output that lies in an input, or the reverse.

    Raises:
        LesionliteError: naming both.
    """
    place = out.resolve()
    for name, given in inputs.items():
        if given is None:
            continue
        read = given.resolve()
        if place == read or place.is_relative_to(read):
            where = "is" if place == read else "lies in"
            raise LesionliteError(
                f"--out {out} {where} {given}, the {name} that is read; choose another --out"
            )
        if read.is_relative_to(place):
            raise LesionliteError(
                f"{given}, the {name} that is read, lies in --out {out}; choose another --out"
            )


def _make(folder: Path) -> list[Path]:
    """Create a folder and its parents; returns those that were created, innermost first."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _lock(descriptor: int, out: Path) -> None:
    """Lock the folder itself. The lock leaves no file and ends with the process.

    Some network file systems cannot lock; there the folder stays unlocked.
    """
    end = time.monotonic() + WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise LesionliteError(
                    f"another lesionlite is writing into {out}; wait for its end, or choose "
                    "another --out"
                ) from None
            time.sleep(0.1)
        except OSError:
            return


def _sweep(folder: Path) -> None:
    """Delete what killed commands left half-written; restore what they were about to replace."""
    for path in folder.glob(f"{OLD}*"):
        put_back(path)
    for path in folder.glob(f"{HALF}*"):
        remove(path)


def put_back(aside: Path) -> None:
    """Restore what was moved aside, unless its replacement is in place."""
    target = aside.with_name(aside.name.removeprefix(OLD).split("-", 1)[1])
    if os.path.lexists(target):
        remove(aside)
    else:
        os.rename(aside, target)


def sweep_beside(path: Path) -> None:
    """Like `_sweep`, for one name in any folder: clean up after processes that have died."""
    for prefix in (OLD, HALF):
        for left in path.parent.glob(f"{prefix}*-{_escaped(path.name)}"):
            process = left.name.removeprefix(prefix).split("-", 1)[0]
            if process.isdigit() and not _is_alive(int(process)):
                put_back(left) if prefix == OLD else remove(left)


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def remove(path: Path) -> None:
    """Delete a file, a link or a folder, which must be ours."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_ours(path: Path) -> bool:
    """Whether lesionlite wrote what is at `path`, according to the list in its folder."""
    found = _claim_of(path)
    if found is None:
        return False
    name = _name_in(found, path)
    parts = name.split("/")
    return any("/".join(parts[:n]) in found.names for n in range(1, len(parts) + 1))


def refuse_foreign(path: Path) -> None:
    """Refuse to overwrite something of the user's. An empty folder may be overwritten.

    Raises:
        LesionliteError: if something is there that lesionlite did not write.
    """
    if not os.path.lexists(path) or is_ours(path):
        return
    if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
        return
    kind = "folder" if path.is_dir() else "file"
    raise LesionliteError(
        f"{path} is a {kind} that lesionlite did not write here, and does not replace; move it "
        "away, or choose another --out"
    )


def list_as_ours(path: Path) -> None:
    """Add `path` to the list in its folder, if lesionlite keeps one there."""
    found = _claim_of(path)
    if found is None or is_ours(path) or _is_half(_name_in(found, path)):
        return
    name = _name_in(found, path)
    mark = found.folder / MARK
    with mark.open("a", encoding="utf-8") as stream:  # as JSON, a name is always one line
        stream.write(("" if stream.tell() else ABOUT) + json.dumps(name) + "\n")
    found.names.add(name)


def ours_in(folder: Path) -> set[str]:
    """The names that lesionlite wrote into `folder`, relative to it."""
    return set(_listed(folder.resolve()))


def remove_ours(folder: Path, kept: Collection[str]) -> list[str]:
    """Delete what lesionlite wrote into `folder`, and nothing of the user's.

    Args:
        folder: locked by `writing_into`, or not locked at all.
        kept: names in `folder` that stay, with all below them.

    Returns:
        The names that were deleted.
    """
    names = _listed(folder.resolve())
    old = sorted(n for n in names if n.split("/")[0] not in kept and _stays_in(folder, n))
    gone = [name for name in old if os.path.lexists(folder / name)]
    for name in gone:
        remove(folder / name)
        for parent in (folder / name).parents:
            if parent == folder or any(parent.iterdir()):
                break
            parent.rmdir()
    if old:  # from now on, files with these names are the user's
        lines = "".join(json.dumps(name) + "\n" for name in sorted(names - set(old)))
        half = folder / f"{HALF}{os.getpid()}-{MARK}"
        half.write_text(ABOUT + lines, encoding="utf-8")
        os.replace(half, folder / MARK)
        if claim := _claims.get(folder.resolve()):
            claim.names.difference_update(old)
    return gone


def _stays_in(folder: Path, name: str) -> bool:
    """Whether a listed name stays inside the folder; the list may have been edited."""
    place = _place(folder / name)
    return place.name not in ("", "..") and place.is_relative_to(folder.resolve())


def _is_half(name: str) -> bool:
    return any(part.startswith((HALF, OLD)) for part in name.split("/"))


def _place(path: Path) -> Path:
    """The absolute path. Links are resolved in its folders, but not in its last part."""
    return path.parent.resolve() / path.name


def _name_in(claim: _Claim, path: Path) -> str:
    return _place(path).relative_to(claim.folder).as_posix()


def _claim_of(path: Path) -> _Claim | None:
    """The innermost folder around `path` that this process has locked or that has a list."""
    for folder in _place(path).parents:
        if folder in _claims:
            return _claims[folder]
        if (folder / MARK).is_file():
            return _Claim(folder, _listed(folder))
    return None


def _listed(folder: Path) -> set[str]:
    """The names in the list. A line that was cut off is ignored."""
    mark = folder / MARK
    if not mark.is_file():
        return set()
    names = set()
    for line in mark.read_bytes().split(b"\n")[:-1]:
        try:
            name = json.loads(line)
        except ValueError:
            continue
        if isinstance(name, str):
            names.add(name)
    return names
