"""Leaks between splits: images of one lesion or patient, and near-duplicates, on both sides."""

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lesionlite.console import say
from lesionlite.errors import LesionliteError
from lesionlite.files import write_text
from lesionlite.layout import SPLIT_TABLE
from lesionlite.train.data.images import inspect
from lesionlite.train.data.rows import group_name, match_images, read_table
from lesionlite.train.data.splits import Dataset, Split, leave_out

IMAGE_COLUMNS = ("image", "image_id", "file")
GROUP_COLUMNS = ("group", "lesion_id", "patient_id")
COLUMNS = ("image", "like", "class", "reason")  # of the list of leaks
DISTANCE = 6  # of 64 bits in which two perceptual hashes may differ
ALIKE = 0.99  # correlation of two thumbnails, for hashes of plain skin agree by chance
THUMBNAIL = 32
CHUNK = 512


@dataclass(frozen=True)
class Signature:
    """What is remembered of an image.

    Attributes:
        hashes: perceptual, of 64 bits, of the image as it is and mirrored and turned, [8].
        thumbnail: grey, centred, of unit norm, [32, 32].
    """

    hashes: NDArray[np.uint64]
    thumbnail: NDArray[np.float32]


@dataclass(frozen=True)
class Leak:
    """An image whose like is in an earlier split.

    Attributes:
        image: of the later split (test comes last), its path below the data folder.
        like: of the earlier one.
        label: class of the image.
        reason: "group NAME", or "near-duplicate, D bits".
    """

    image: str
    like: str
    label: str
    reason: str


@dataclass(frozen=True)
class AuditResult:
    """What was found.

    Attributes:
        images: how many were looked at.
        grouped: how many of them have a known group.
        leaks: every image of val and test that has its like in an earlier split.
    """

    images: int
    grouped: int
    leaks: tuple[Leak, ...]

    def per_class(self) -> dict[str, int]:
        """Leaking images by class, most first."""
        counts: dict[str, int] = {}
        for label, _ in {(leak.label, leak.image) for leak in self.leaks}:
            counts[label] = counts.get(label, 0) + 1
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    def sentence(self) -> str:
        """For a person."""
        known = f"groups of {self.grouped} of {self.images} images known"
        leaking = len({leak.image for leak in self.leaks})
        if not leaking:
            return f"no lesion, patient or near-duplicate is in two splits ({known})"
        classes = ", ".join(f"{label} {count}" for label, count in self.per_class().items())
        return (
            f"{leaking} images of val and test have their like in another split, so scores flatter "
            f"({classes}; {known}); `lesionlite audit` lists them"
        )

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "per_class": self.per_class()}


def signature_of(image: Image.Image) -> Signature:
    """What is compared of an image; the hashes are `imagehash.phash`'s (of a cosine transform)."""
    import imagehash

    small = image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    grey = np.asarray(small)
    bits = [imagehash.phash(Image.fromarray(turned)).hash.flatten() for turned in _turns(grey)]
    centred = grey.astype(np.float32) - grey.mean()
    thumbnail = centred / max(float(np.linalg.norm(centred)), 1e-6)
    return Signature(np.packbits(bits, axis=1).view(np.uint64)[:, 0], thumbnail)


def _turns(grey: NDArray[Any]) -> list[NDArray[Any]]:
    """A square as it is, turned by quarters, and the mirror images of these."""
    turned = [np.ascontiguousarray(np.rot90(grey, quarters)) for quarters in range(4)]
    return turned + [np.ascontiguousarray(one[:, ::-1]) for one in turned]


def read_groups(table: Path, files: Sequence[Path], folder: Path) -> dict[Path, str]:
    """The group of each image that has one.

    Args:
        table: CSV with a column of `IMAGE_COLUMNS` and one of `GROUP_COLUMNS`.
        files: images.
        folder: that they lie below.

    Raises:
        LesionliteError: no such file or columns, a ragged row, a name that fits several images, an
            image in two groups, or no row that means an image.
    """
    every = list(read_table(table, (IMAGE_COLUMNS, GROUP_COLUMNS)))
    image, group = IMAGE_COLUMNS[0], GROUP_COLUMNS[0]
    rows = [(where, row[image], group_name(row[group])) for where, row in every]
    rows = [row for row in rows if row[2]]
    groups: dict[Path, str] = {}
    unknown = 0
    meant = match_images([(where, name) for where, name, _ in rows], files, folder)
    for file, (where, name, known) in zip(meant, rows, strict=True):
        if file is None:
            unknown += 1
        elif groups.setdefault(file, known) != known:
            raise LesionliteError(
                f"{where}: {name} is of group {known} here and of {groups[file]} above; keep one"
            )
    if not groups:
        found = f"its rows name {rows[0][1]}, ..." if rows else "no row of it has a group"
        some = files[0].relative_to(folder).as_posix() if files else "none"
        raise LesionliteError(
            f"{table} tells the group of no image: {found}; the images of {folder} are {some}, ..."
        )
    if unknown:
        say(f"{table}: {unknown:,} of {len(rows):,} rows with a group name no image of {folder}")
    return groups


def audit(
    folder: Path, dataset: Dataset, signatures: Mapping[Path, Signature], groups: Path | None = None
) -> AuditResult:
    """Find what is on both sides of a split.

    Args:
        folder: the data folder.
        dataset: what is in it.
        signatures: of every image, by file.
        groups: CSV, see `read_groups`; by default the data folder's split.csv, if it has one.

    Raises:
        LesionliteError: a CSV of groups that cannot be read.
    """
    if groups is None and (folder / SPLIT_TABLE).is_file():
        groups = folder / SPLIT_TABLE
    splits = dataset.splits()
    files = [file for split in splits for file in split.files]
    known = read_groups(groups, files, folder) if groups else {}
    leaks: list[Leak] = []
    for earlier, later in combinations(splits, 2):
        leaks += _by_group(folder, earlier, later, known)
        leaks += _by_look(folder, earlier, later, signatures)
    return AuditResult(len(files), len(known), tuple(leaks))


def decode_all(
    dataset: Dataset, skip_bad: bool
) -> tuple[Dataset, dict[Path, Signature], list[Path]]:
    """Decode everything once: the images that can be, what is compared of them, and the others.

    Raises:
        LesionliteError: if some do not decode and `skip_bad` is off, or a split or a class of
            train/ has none left.
    """
    splits = dataset.splits()
    for sentence in (sentence for split in splits for sentence in split.left_out):
        say(sentence)
    signatures, bad = inspect([file for split in splits for file in split.files], signature_of)
    train, val, *test = leave_out(splits, bad, skip_bad)
    lost = dataset.train.emptied(train)
    if lost:
        raise LesionliteError(
            f"no image of {', '.join(lost)} in train/ can be decoded, so nothing would teach it; "
            f"replace them, or remove the class: {bad[_first_of(dataset.train, lost[0])]}"
        )
    for file in bad:
        say(f"left out, cannot be decoded: {file}")
    for name, before, after in zip(("val", "test"), splits[1:], (val, *test), strict=False):
        for label in before.emptied(after):
            say(f"{name}/ has no image of {label} left that can be decoded")
    return Dataset(train, val, test[0] if test else None, dataset.note), signatures, list(bad)


def _first_of(split: Split, label: str) -> Path:
    return split.files[split.targets.index(split.labels.index(label))]


def refuse_list_place(file: Path, data: Path, groups: Path | None = None) -> None:
    """Refuse, before any image is looked at, a place where the list of leaks cannot be written.

    Args:
        file: what --out names.
        data: the data folder.
        groups: the table that is read.

    Raises:
        LesionliteError: if it is the table, lies in the data folder, or is no such list.
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
    """Every leak as a row: image, like, class, reason.

    Raises:
        LesionliteError: if something else lies there.
    """
    _refuse_other_file(file)
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((leak.image, leak.like, leak.label, leak.reason) for leak in found.leaks)
    write_text(file, text.getvalue(), ours=True)


def _by_group(
    folder: Path, earlier: Split, later: Split, groups: Mapping[Path, str]
) -> Iterator[Leak]:
    first = {groups[file]: file for file in reversed(earlier.files) if file in groups}
    for file, target in zip(later.files, later.targets, strict=True):
        group = groups.get(file, "")
        if group in first:
            yield _leak(folder, file, first[group], later.labels[target], f"group {group}")


def _by_look(
    folder: Path, earlier: Split, later: Split, signatures: Mapping[Path, Signature]
) -> Iterator[Leak]:
    hashes = np.array([signatures[file].hashes[0] for file in earlier.files])
    for start in range(0, len(later.files), CHUNK):
        files = later.files[start : start + CHUNK]
        turns = np.stack([signatures[file].hashes for file in files])  # [files, 8]
        apart = np.min([np.bitwise_count(t[:, None] ^ hashes) for t in turns.T], axis=0)
        for at, to in zip(*np.nonzero(apart <= DISTANCE), strict=True):
            a, b = files[at], earlier.files[to]
            if _likeness(signatures[a], signatures[b]) >= ALIKE:
                label = later.labels[later.targets[start + at]]
                yield _leak(folder, a, b, label, f"near-duplicate, {apart[at, to]} bits")


def _likeness(a: Signature, b: Signature) -> float:
    """Largest correlation of the thumbnails, one of them turned or mirrored."""
    return max(float((turned * b.thumbnail).sum()) for turned in _turns(a.thumbnail))


def _leak(folder: Path, image: Path, like: Path, label: str, reason: str) -> Leak:
    a, b = (file.relative_to(folder).as_posix() for file in (image, like))
    return Leak(a, b, label, reason)
