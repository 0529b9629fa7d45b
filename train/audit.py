"""Leaks between splits: images of one lesion or patient, and near-duplicates, on both sides."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from train.console import say
from train.data import Dataset, Split, leave_out
from train.errors import LesionliteError
from train.files import write_text
from train.images import inspect

GROUPS_CSV = "split.csv"  # what `prepare` leaves in a data folder
IMAGE_COLUMNS = ("image", "image_id", "file")
GROUP_COLUMNS = ("group", "lesion_id", "patient_id")
DISTANCE = 6  # of 64 bits in which two perceptual hashes may differ
ALIKE = 0.99  # correlation of two thumbnails, for hashes of plain skin agree by chance
THUMBNAIL = 32
CHUNK = 512


@dataclass(frozen=True)
class Look:
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
class Audit:
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


def look(image: Image.Image) -> Look:
    """What is compared of an image; the hashes are `imagehash.phash`'s (of a cosine transform)."""
    import imagehash

    small = image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    grey = np.asarray(small)
    bits = [imagehash.phash(Image.fromarray(turned)).hash.flatten() for turned in _turns(grey)]
    centred = grey.astype(np.float32) - grey.mean()
    thumbnail = centred / max(float(np.linalg.norm(centred)), 1e-6)
    return Look(np.packbits(bits, axis=1).view(np.uint64)[:, 0], thumbnail)


def _turns(grey: NDArray[Any]) -> list[NDArray[Any]]:
    """A square as it is, turned by quarters, and the mirror images of these."""
    turned = [np.ascontiguousarray(np.rot90(grey, quarters)) for quarters in range(4)]
    return turned + [np.ascontiguousarray(one[:, ::-1]) for one in turned]


def read_groups(file: Path) -> dict[str, str]:
    """Group by image name without folder and suffix; images without a group are left out.

    Args:
        file: CSV with a column of `IMAGE_COLUMNS` and one of `GROUP_COLUMNS`.

    Raises:
        LesionliteError: no such file, or no such columns.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LesionliteError(f"{file} cannot be read as a CSV file ({error})") from error
    columns = list(rows[0]) if rows else []
    image = next((name for name in IMAGE_COLUMNS if name in columns), None)
    group = next((name for name in GROUP_COLUMNS if name in columns), None)
    if image is None or group is None:
        raise LesionliteError(
            f"{file} needs a column {' or '.join(IMAGE_COLUMNS)} and a column "
            f"{' or '.join(GROUP_COLUMNS)}; it has: {', '.join(columns) or 'nothing'}"
        )
    return {Path(row[image]).stem: row[group] for row in rows if row[image] and row[group]}


def audit(
    folder: Path, dataset: Dataset, looks: Mapping[Path, Look], groups: Path | None = None
) -> Audit:
    """Find what is on both sides of a split.

    Args:
        folder: the data folder.
        dataset: what is in it.
        looks: of every image, by file.
        groups: CSV, see `read_groups`; by default the data folder's split.csv, if it has one.

    Raises:
        LesionliteError: a CSV of groups that cannot be read.
    """
    if groups is None and (folder / GROUPS_CSV).is_file():
        groups = folder / GROUPS_CSV
    known = read_groups(groups) if groups else {}
    splits = [split for split in (dataset.train, dataset.val, dataset.test) if split]
    leaks: list[Leak] = []
    for earlier, later in combinations(splits, 2):
        leaks += _by_group(folder, earlier, later, known)
        leaks += _by_look(folder, earlier, later, looks)
    files = [file for split in splits for file in split.files]
    grouped = sum(file.stem in known for file in files)
    return Audit(len(files), grouped, tuple(leaks))


def inspected(dataset: Dataset, skip_bad: bool) -> tuple[Dataset, dict[Path, Look], list[Path]]:
    """Decode everything once: the images that can be, what is compared of them, and the others.

    Raises:
        LesionliteError: if some do not decode and `skip_bad` is off, or a split has none left.
    """
    splits = [split for split in (dataset.train, dataset.val, dataset.test) if split]
    looks, bad = inspect([file for split in splits for file in split.files], look)
    train, val, *test = leave_out(splits, bad, skip_bad)
    for file in bad:
        say(f"left out, cannot be decoded: {file}")
    return Dataset(train, val, test[0] if test else None, dataset.note), looks, list(bad)


def write_csv(found: Audit, file: Path) -> None:
    """Every leak as a row: image, like, class, reason."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "like", "class", "reason"))
    writer.writerows((leak.image, leak.like, leak.label, leak.reason) for leak in found.leaks)
    write_text(file, text.getvalue())


def _by_group(
    folder: Path, earlier: Split, later: Split, groups: Mapping[str, str]
) -> Iterator[Leak]:
    first = {groups[f.stem]: f for f in reversed(earlier.files) if f.stem in groups}
    for file, target in zip(later.files, later.targets, strict=True):
        group = groups.get(file.stem)
        if group in first:
            yield _leak(folder, file, first[group], later.labels[target], f"group {group}")


def _by_look(
    folder: Path, earlier: Split, later: Split, looks: Mapping[Path, Look]
) -> Iterator[Leak]:
    hashes = np.array([looks[file].hashes[0] for file in earlier.files])
    for start in range(0, len(later.files), CHUNK):
        files = later.files[start : start + CHUNK]
        turns = np.stack([looks[file].hashes for file in files])  # [files, 8]
        apart = np.min([np.bitwise_count(t[:, None] ^ hashes) for t in turns.T], axis=0)
        for at, to in zip(*np.nonzero(apart <= DISTANCE), strict=True):
            a, b = files[at], earlier.files[to]
            if _likeness(looks[a], looks[b]) >= ALIKE:
                label = later.labels[later.targets[start + at]]
                yield _leak(folder, a, b, label, f"near-duplicate, {apart[at, to]} bits")


def _likeness(a: Look, b: Look) -> float:
    """Largest correlation of the thumbnails, one of them turned or mirrored."""
    return max(float((turned * b.thumbnail).sum()) for turned in _turns(a.thumbnail))


def _leak(folder: Path, image: Path, like: Path, label: str, reason: str) -> Leak:
    a, b = (file.relative_to(folder).as_posix() for file in (image, like))
    return Leak(a, b, label, reason)
