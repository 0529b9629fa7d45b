"""Folders of labelled images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from train.documents import read_json
from train.errors import LesionliteError
from train.images import find_bad

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
Domains = dict[str, list[str]]
"""The classes of each domain, e.g. of dermoscopy and of photographs."""


@dataclass(frozen=True)
class Split:
    """Labelled images: files and the index of each one's class in `labels`."""

    files: tuple[Path, ...]
    targets: tuple[int, ...]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.files)

    def counts(self) -> list[int]:
        """Images per class, [C]."""
        return [int(n) for n in np.bincount(self.targets, minlength=len(self.labels))]

    def without(self, bad: Iterable[Path]) -> "Split":
        """The same without the files of `bad`."""
        left_out = set(bad)
        kept = [
            (file, target)
            for file, target in zip(self.files, self.targets, strict=True)
            if file not in left_out
        ]
        return Split(tuple(f for f, _ in kept), tuple(t for _, t in kept), self.labels)


def class_folders(folder: Path) -> list[str]:
    """Sorted names of the class folders in `folder`; LesionliteError if there is none."""
    if not folder.is_dir():
        raise LesionliteError(f"there is no folder {folder}")
    return sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def read_split(folder: Path, labels: Sequence[str] | None = None) -> Split:
    """List the images in `folder`, one folder per class.

    Args:
        folder: holds one folder per class; an empty one declares a class without images.
        labels: the classes a model knows, in its order; by default the folders' names, sorted.

    Raises:
        LesionliteError: no such folder, a class that `labels` lacks, or no image at all.
    """
    names = class_folders(folder)
    known = tuple(labels) if labels is not None else tuple(names)
    strangers = [name for name in names if name not in known]
    if strangers:
        raise LesionliteError(
            f"{folder} has class folders that the model does not know: {', '.join(strangers)}; "
            f"its classes are: {', '.join(known)}"
        )
    files, targets = [], []
    for name in names:
        for file in sorted((folder / name).rglob("*")):
            if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith("."):
                files.append(file)
                targets.append(known.index(name))
    if not files:
        raise LesionliteError(
            f"{folder} holds no images; it needs one folder per class with image files in it"
        )
    return Split(tuple(files), tuple(targets), known)


@dataclass(frozen=True)
class Dataset:
    """The splits of a data folder; `test` is None if it has none."""

    train: Split
    val: Split
    test: Split | None
    note: str

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the model's outputs."""
        return self.train.labels

    def empty_classes(self) -> list[str]:
        """Declared classes without a training image."""
        return [
            label
            for label, count in zip(self.labels, self.train.counts(), strict=True)
            if not count
        ]


def read_dataset(folder: Path) -> Dataset:
    """Read train/, val/ and, where there is one, test/ of `folder`.

    Raises:
        LesionliteError: a missing folder, fewer than two classes with images, or class folders in
            val/ or test/ that train/ lacks.
    """
    if not folder.is_dir():
        raise LesionliteError(f"there is no folder {folder}")
    if not (folder / "train").is_dir():
        raise LesionliteError(
            f"{folder} has no folder train/; it needs train/ and val/ (and test/), each with one "
            "folder per class; `lesionlite prepare` makes them from raw collections"
        )
    train = read_split(folder / "train")
    if sum(1 for count in train.counts() if count) < 2:
        raise LesionliteError(
            f"{folder / 'train'} has images of one class only; a classifier needs at least two "
            "class folders"
        )
    others = {
        name: read_split(folder / name, _check_classes(folder / name, train.labels))
        for name in ("val", "test")
        if (folder / name).is_dir() or name == "val"
    }
    note = (read_json(folder / "dataset.json") or {}).get("note", "")
    return Dataset(train, others["val"], others.get("test"), note)


def read_domains(folder: Path) -> Domains:
    """The classes of each domain, as `dataset.json` in `folder` or above it has them; {} if not.

    Raises:
        LesionliteError: if it holds something else.
    """
    for place in (folder, folder.parent):
        document = read_json(place / "dataset.json")
        domains = document.get("domains", {}) if isinstance(document, dict) else {}
        if domains:
            lists = isinstance(domains, dict) and all(isinstance(v, list) for v in domains.values())
            if not lists:
                raise LesionliteError(
                    f"{place / 'dataset.json'}: domains must give a list of classes for each name"
                )
            return dict(domains)
    return {}


def _check_classes(folder: Path, labels: tuple[str, ...]) -> tuple[str, ...]:
    missing = [name for name in class_folders(folder) if name not in labels]
    if missing:
        raise LesionliteError(
            f"{folder} has class folders that train/ lacks: {', '.join(missing)}; "
            "add them to train/ (empty if need be) or remove them"
        )
    return labels


def drop_bad(splits: Sequence[Split], skip: bool) -> tuple[list[Split], list[Path]]:
    """Check that every image decodes; leave the others out if `skip`.

    Raises:
        LesionliteError: see `leave_out`.
    """
    bad = find_bad([file for split in splits for file in split.files])
    return leave_out(splits, bad, skip), list(bad)


def leave_out(splits: Sequence[Split], bad: Mapping[Path, str], skip: bool) -> list[Split]:
    """The splits without the files of `bad`.

    Raises:
        LesionliteError: if there are such and `skip` is off (the first ones are named), or if a
            split has no image left.
    """
    if bad and not skip:
        shown = "; ".join(list(bad.values())[:3])
        more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise LesionliteError(
            f"{len(bad)} of the images cannot be decoded: {shown}{more}. "
            "Replace them, or pass --skip-bad to go on without them"
        )
    kept = [split.without(bad) for split in splits]
    if not all(len(split) for split in kept):
        raise LesionliteError("no image is left that can be decoded")
    return kept
