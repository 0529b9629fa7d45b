"""The one walk through folders of images: which files are images, and what is left out."""

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
# Folders that systems and tools leave beside images: thumbnails, recycle bins, archives' shadows.
SYSTEM_FOLDERS = {
    *("__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information"),
    *("lost+found", "__pycache__"),
}
SYSTEM_FILES = {"thumbs.db", "desktop.ini", "icon\r"}
HIDDEN, OUTSIDE = "hidden or of the system", "beside the class folders and of no class"
BROKEN = "a link that leads nowhere"
LeftOut = Mapping[str, int]
"""How many files were passed over, by reason."""


@dataclass(frozen=True)
class Found:
    """What a walk found.

    Attributes:
        files: the images, in order of their paths.
        left_out: how many files were passed over, by reason.
    """

    files: tuple[Path, ...]
    left_out: LeftOut


def is_hidden(name: str) -> bool:
    """Whether a file or folder is nobody's image or class: hidden, or a system's own."""
    lower = name.lower()
    return name.startswith(".") or lower in SYSTEM_FOLDERS or lower in SYSTEM_FILES


def has_image_suffix(name: str) -> bool:
    """Whether a file's name says that it is an image."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def class_name(text: str) -> str:
    """A class by its folder's name or another text: a Mac writes an é as two characters (NFD)."""
    return unicodedata.normalize("NFC", text)


def find_classes(folder: Path) -> tuple[dict[str, list[Path]], LeftOut]:
    """The class folders in a folder by their classes, sorted, and what lies beside them.

    Hidden folders and those of the system are no classes; linked folders are.

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
    """All images below a folder; linked folders are entered, each one once.

    Hidden files and folders and those of the system are left out. Files are told by their suffixes
    alone: what is damaged, or no regular file, `open_image` finds out.

    Raises:
        LesionliteError: if there is no such folder, or an image's name is not UTF-8.
        OSError: if one inside may not be read; its images would be missing unsaid.
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
    """The files among `paths` as they are, and all images below the folders among them.

    Raises:
        LesionliteError: if that is none, as where a shell's pattern matched nothing.
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
    """Each file, and why it is left out ("" if it is not)."""
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
    """Why a file is left out; "" if it is not."""
    if is_hidden(name):
        return HIDDEN
    return "" if has_image_suffix(name) else no_image(Path(name).suffix.lower())


def no_image(suffix: str) -> str:
    """The reason for which files of a suffix are left out."""
    shown = os.fsencode(suffix).decode("utf-8", "backslashreplace")
    return f"no image by the suffix {shown}" if suffix else "no image by the name, without suffix"


def _below(folder: Path) -> Iterator[Path]:
    """The files below a folder that is left out; links are not followed."""
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name)


def sentences(left_out: LeftOut, where: object) -> list[str]:
    """What must be said of files that were left out."""
    return [
        f"{where}: {number:,} file{'s are' if number > 1 else ' is'} left out, {reason}"
        for reason, number in sorted(left_out.items())
    ]


def refuse_unreadable_name(path: Path) -> None:
    """Refuse a name that no JSON document or table can hold.

    Raises:
        LesionliteError: if the name's bytes are no UTF-8.
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
