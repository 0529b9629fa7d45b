"""The one walk through folders of images: which files are images, and what is left out."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from train.errors import LesionliteError
from train.files import need_folder

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif"),  # the last two need an extra, see `train.images`
)
# Folders that systems and tools leave beside images: thumbnails, recycle bins, archives' shadows.
SYSTEM_FOLDERS = {
    *("__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information"),
    *("lost+found", "__pycache__"),
}
SYSTEM_FILES = {"thumbs.db", "desktop.ini", "icon\r"}
HIDDEN, NO_IMAGE = "hidden or of the system", "no image by its suffix"
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


def find_images(folder: Path) -> Found:
    """All images below a folder; linked folders are entered, each one once.

    Hidden files and folders and those of the system are left out. Files are told by their suffixes
    alone: what is damaged, or no regular file, `open_image` finds out.

    Raises:
        LesionliteError: if there is no such folder.
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
                yield from ((f, HIDDEN) for f, _ in _below(path))
            elif real not in entered:
                entered.add(real)
                yield from _walk(path, entered)
        elif hidden:
            yield path, HIDDEN
        else:
            yield path, "" if has_image_suffix(entry.name) else NO_IMAGE


def _below(folder: Path) -> Iterator[tuple[Path, None]]:
    """The files below a folder that is left out; links are not followed."""
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name), None


def sentences(left_out: LeftOut, where: object) -> list[str]:
    """What must be said of files that were left out."""
    return [
        f"{where}: {number} file{'s are' if number > 1 else ' is'} left out, {reason}"
        for reason, number in left_out.items()
    ]


def refuse_unreadable_name(path: Path) -> None:
    """Refuse a name that no JSON document or table can hold.

    Raises:
        LesionliteError: if the name's bytes are no UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise LesionliteError(f"{shown}: the name is not UTF-8; rename it") from None
