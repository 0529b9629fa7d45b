"""Folders of labelled images."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lesionlite.console import say
from lesionlite.documents import as_record, read_json
from lesionlite.errors import LesionliteError
from lesionlite.files import need_folder
from lesionlite.layout import DATASET
from lesionlite.train.data.folders import class_name, find_classes, find_images, sentences
from lesionlite.train.data.images import find_bad

SPLITS = ("train", "val", "test")
TOO_GOOD = {
    "train": "These images trained the network, so the scores are too good. Judge by test images.",
    "val": "These are validation images, which also chose the epoch and the temperature, so the "
    "scores are too good. A folder test/ beside train/ and val/ gives honest ones.",
}
"""What must be said of the scores of a split."""
Domains = dict[str, list[str]]
"""The classes of each domain, e.g. of dermoscopy and of photographs."""


@dataclass(frozen=True)
class About:
    """The fields of `dataset.json` that are read. Other fields are allowed."""

    note: str = ""
    disclaimer: str = ""
    domains: Domains = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """Labelled images.

    Attributes:
        files: images.
        targets: index of each image's class in `labels`.
        labels: classes.
        left_out: sentences about files in the folder that were left out.
        name: "train", "val" or "test" if it is part of a data folder, else "".
    """

    files: tuple[Path, ...]
    targets: tuple[int, ...]
    labels: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    name: str = ""

    def __len__(self) -> int:
        return len(self.files)

    def counts(self) -> list[int]:
        """Images per class, [C]."""
        return [int(n) for n in np.bincount(self.targets, minlength=len(self.labels))]

    def without(self, bad: Iterable[Path]) -> "Split":
        """This split without the files of `bad`."""
        dropped = set(bad)
        kept = [
            (file, target)
            for file, target in zip(self.files, self.targets, strict=True)
            if file not in dropped
        ]
        files, targets = (tuple(column) for column in zip(*kept, strict=True)) if kept else ((), ())
        return replace(self, files=files, targets=targets)

    def emptied(self, kept: "Split") -> list[str]:
        """The classes that have images here, but none in `kept`."""
        pairs = zip(self.labels, self.counts(), kept.counts(), strict=True)
        return [label for label, before, after in pairs if before and not after]


def read_split(folder: Path, labels: Sequence[str] | None = None) -> Split:
    """List the images in `folder`, one folder per class.

    Args:
        folder: holds one folder per class; an empty one declares a class without images.
        labels: a model's classes in its order; by default the folders' names, sorted.

    Raises:
        LesionliteError: no such folder, a class that `labels` lacks, or no image at all.
    """
    classes, beside = find_classes(folder)
    known = tuple(classes) if labels is None else tuple(labels)
    places = {class_name(label): index for index, label in enumerate(known)}
    strangers = [name for name in classes if name not in places]
    if strangers:
        raise LesionliteError(
            f"{folder} has class folders that the model does not know: {', '.join(strangers)}; "
            f"its classes are: {', '.join(known)}"
        )
    files: list[Path] = []
    targets: list[int] = []
    left_out = Counter(beside)
    for name, folders in classes.items():
        for place in folders:
            found = find_images(place)
            files += found.files
            targets += [places[name]] * len(found.files)
            left_out.update(found.left_out)
    said = tuple(sentences(left_out, folder))
    if not files:
        raise LesionliteError(
            f"{folder} holds no images; it needs one folder per class with image files in it"
            + "".join(f" ({sentence})" for sentence in said[:1])
        )
    return Split(tuple(files), tuple(targets), known, said, _name(folder))


def images_of(split: str, number: int) -> str:
    """How many images, and of which split: "1402 test images"."""
    return " ".join(filter(None, (str(number), split, "images")))


def _name(folder: Path) -> str:
    """The name of a split, of its folder in a data folder."""
    folder = folder.resolve()
    beside_train = folder.name in SPLITS and (folder.parent / "train").is_dir()
    return folder.name if beside_train else ""


@dataclass(frozen=True)
class Dataset:
    """The splits of a data folder; `test` is None if it has none."""

    train: Split
    val: Split
    test: Split | None
    note: str
    disclaimer: str = ""
    domains: Domains = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the model's outputs."""
        return self.train.labels

    def splits(self) -> list[Split]:
        """Train, val and, if there is one, test."""
        return [split for split in (self.train, self.val, self.test) if split]

    def empty_classes(self) -> list[str]:
        """Declared classes without a training image."""
        return [
            label
            for label, count in zip(self.labels, self.train.counts(), strict=True)
            if not count
        ]


def read_dataset(folder: Path) -> Dataset:
    """Read train/, val/ and, if there is one, test/ of `folder`.

    Raises:
        LesionliteError: a missing folder, fewer than two classes with images, class folders in
            val/ or test/ that train/ lacks, or an invalid dataset.json.
    """
    need_folder(folder)
    about, domains = read_about(folder), read_domains(folder)
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
    val, test = others["val"], others.get("test")
    return Dataset(train, val, test, about.note, about.disclaimer, domains)


def read_about(folder: Path) -> About:
    """Read dataset.json in `folder`; the defaults if there is none.

    Raises:
        LesionliteError: it is damaged, or a field has a wrong type.
    """
    document = read_json(folder / DATASET)
    if document is None:
        return About()
    return as_record(document, About, str(folder / DATASET), True, "mend it or remove it")


def read_domains(folder: Path) -> Domains:
    """The classes of each domain, from `dataset.json` in `folder` or its parent; {} without one.

    Raises:
        LesionliteError: as `read_about`.
    """
    own = (folder / DATASET).exists() or (folder / "train").is_dir()
    domains = read_about(folder if own else folder.parent).domains
    return {name: [class_name(label) for label in labels] for name, labels in domains.items()}


def _check_classes(folder: Path, labels: tuple[str, ...]) -> tuple[str, ...]:
    missing = [name for name in find_classes(folder)[0] if name not in labels]
    if missing:
        raise LesionliteError(
            f"{folder} has class folders that train/ lacks: {', '.join(missing)}; "
            "add them to train/ (empty if need be) or remove them"
        )
    return labels


def drop_bad(splits: Sequence[Split], skip: bool) -> tuple[list[Split], list[Path]]:
    """Decode every image; if `skip`, leave out those that cannot be decoded.

    Raises:
        LesionliteError: see `leave_out`.
    """
    bad = find_bad([file for split in splits for file in split.files])
    return leave_out(splits, bad, skip), list(bad)


def leave_out(splits: Sequence[Split], bad: Mapping[Path, str], skip: bool) -> list[Split]:
    """The splits without the files of `bad`.

    Raises:
        LesionliteError: there are such files and `skip` is off, or a split has no image left.
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


def evaluation_split(data: Path, labels: Sequence[str], skip_bad: bool = False) -> Split:
    """The labelled images of a folder of class folders, or of a data folder's test/ or val/.

    Raises:
        LesionliteError: there are none, or some cannot be decoded and `skip_bad` is off.
    """
    whole = judging_split(data, labels)
    (split,), bad = drop_bad([whole], skip_bad)
    lost = (f"no image of {label} is left that can be decoded" for label in whole.emptied(split))
    for sentence in (*whole.left_out, *(f"left out, cannot be decoded: {f}" for f in bad), *lost):
        say(sentence)
    return split


def judging_split(data: Path, labels: Sequence[str]) -> Split:
    """Like `evaluation_split`, but decodes nothing."""
    need_folder(data)
    if (data / "train").is_dir():
        names = [name for name in ("test", "val") if (data / name).is_dir()]
        data = data / names[0] if names else data
    return read_split(data, labels)
