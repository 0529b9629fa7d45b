"""Find the images in folders, and count the files that are left out."""

import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lesionlite.errors import LesionliteError
from lesionlite.files import need_folder

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif"),  # the last two need an extra, see `lesionlite.train.data.images`
)
# Folders that systems and tools create beside images: thumbnails, recycle bins, archive metadata.
SYSTEM_FOLDERS = {
    *("__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information"),
    *("lost+found", "__pycache__"),
}
SYSTEM_FILES = {"thumbs.db", "desktop.ini", "icon\r"}
HIDDEN, OUTSIDE = "hidden or of the system", "beside the class folders and of no class"
BROKEN = "a link that leads nowhere"
LeftOut = Mapping[str, int]
"""Number of files that were left out, by reason."""


@dataclass(frozen=True)
class Found:
    """The images that were found.

    Attributes:
        files: images, sorted by path.
        left_out: number of files that were left out, by reason.
    """

    files: tuple[Path, ...]
    left_out: LeftOut


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden or belongs to the system."""
    lower = name.lower()
    return name.startswith(".") or lower in SYSTEM_FOLDERS or lower in SYSTEM_FILES


def has_image_suffix(name: str) -> bool:
    """Whether a file's name has the suffix of an image."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def class_name(text: str) -> str:
    """A class name in NFC; a Mac writes an é in a folder's name as two characters (NFD)."""
    return unicodedata.normalize("NFC", text)


def find_classes(folder: Path) -> tuple[dict[str, list[Path]], LeftOut]:
    """The class folders in a folder, by class in alphabetical order, and what was left out.

    Hidden folders and the system's folders are no classes. Linked folders are.

    Raises:
        LesionliteError: if there is no such folder, or a name is not UTF-8.
        OSError: if it may not be read.
    """
    need_folder(folder)
    classes: dict[str, list[Path]] = {}
    left_out: Counter[str] = Counter()
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not is_hidden(path.name):
            refuse_unreadable_name(path)
            classes.setdefault(class_name(path.name), []).append(path)
        elif path.is_dir():
            left_out[HIDDEN] += sum(1 for _ in _below(path))
        else:
            left_out[BROKEN if not path.exists() else _why_not(path.name) or OUTSIDE] += 1
    return dict(sorted(classes.items())), {why: n for why, n in left_out.items() if n}


def find_images(folder: Path) -> Found:
    """Find all images below a folder. Links to folders are followed, each folder once.

    Hidden files and the system's files are left out. A file counts as an image if its suffix is
    that of one; `open_image` refuses what is damaged.

    Raises:
        LesionliteError: if there is no such folder, or an image's name is not UTF-8.
        OSError: a folder inside cannot be read; otherwise its images would be missing silently.
    """
    need_folder(folder)
    files: list[Path] = []
    left_out: Counter[str] = Counter()
    root = os.path.realpath(folder)
    for file, reason in _walk(folder, {root, *map(str, Path(root).parents)}):
        if reason:
            left_out[reason] += 1
        else:
            refuse_unreadable_name(file)
            files.append(file)
    return Found(tuple(sorted(files)), dict(left_out))


def find_named(paths: Sequence[Path]) -> Found:
    """The files among `paths`, and all images below the folders among them.

    Raises:
        LesionliteError: there is none, for example because a shell's pattern matched nothing.
    """
    files: list[Path] = []
    left_out: Counter[str] = Counter()
    for path in paths:
        found = find_images(path) if path.is_dir() else Found((path,), {})
        files += found.files
        left_out.update(found.left_out)
    if not files:
        where = f" in {', '.join(map(str, paths))}" if paths else ""
        raise LesionliteError(f"there is no image{where}; name image files, or folders of them")
    return Found(tuple(files), dict(left_out))


def _walk(folder: Path, entered: set[str]) -> Iterator[tuple[Path, str]]:
    """Yield each file and the reason to leave it out, which is "" for images."""
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        path, hidden = folder / entry.name, is_hidden(entry.name)
        if entry.is_dir():
            real = os.path.realpath(path)
            if hidden:
                yield from ((file, HIDDEN) for file in _below(path))
            elif real not in entered:
                entered.add(real)
                yield from _walk(path, entered)
        else:
            yield path, _why_not(entry.name)


def _why_not(name: str) -> str:
    """The reason to leave a file out; "" for images."""
    if is_hidden(name):
        return HIDDEN
    return "" if has_image_suffix(name) else no_image(Path(name).suffix.lower())


def no_image(suffix: str) -> str:
    """The reason to leave out files of a suffix."""
    shown = os.fsencode(suffix).decode("utf-8", "backslashreplace")
    return f"no image by the suffix {shown}" if suffix else "no image by the name, without suffix"


def _below(folder: Path) -> Iterator[Path]:
    """All files below a folder that is left out; links are not followed."""
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name)


def sentences(left_out: LeftOut, where: object) -> list[str]:
    """Sentences about the files that were left out."""
    return [
        f"{where}: {number:,} file{'s are' if number > 1 else ' is'} left out, {reason}"
        for reason, number in sorted(left_out.items())
    ]


def refuse_unreadable_name(path: Path) -> None:
    """Refuse a file name that JSON documents and tables cannot hold.

    Raises:
        LesionliteError: the name is not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        name = os.fsencode(path)
    else:
        return
    try:
        readable = name.decode()
    except UnicodeDecodeError:
        shown = name.decode("utf-8", "backslashreplace")
        raise LesionliteError(f"{shown}: the name is not UTF-8; rename it") from None
    raise LesionliteError(
        f"{readable}: Python reads names as {sys.getfilesystemencoding()} here, which this one is "
        "not; set PYTHONUTF8=1 and run the command again"
    )
