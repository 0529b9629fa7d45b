"""Find leaks: images of one lesion or patient, and near-duplicates, that are in two splits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lesionlite.console import say
from lesionlite.errors import LesionliteError
from lesionlite.layout import SPLIT_TABLE
from lesionlite.train.data.images import inspect
from lesionlite.train.data.rows import group_name, match_images, read_table
from lesionlite.train.data.splits import Dataset, Split, leave_out

IMAGE_COLUMNS = ("image", "image_id", "file")
GROUP_COLUMNS = ("group", "lesion_id", "patient_id")
MAX_DISTANCE = 6  # bits, of 64, in which the hashes of near-duplicates differ at most
# Least correlation of their thumbnails. Hashes alone will not do: on plain skin they agree by
# chance.
MIN_CORRELATION = 0.99
THUMBNAIL = 32  # side in pixels
CHUNK = 512  # images compared at a time, to bound memory


@dataclass(frozen=True)
class Signature:
    """What near-duplicates are recognized by.

    Attributes:
        hashes: uint64 [8], perceptual hashes of the image in its eight orientations (four quarter
            turns, and each mirrored).
        thumbnail: float32 [32, 32], grey, of mean 0 and norm 1.
    """

    hashes: NDArray[np.uint64]
    thumbnail: NDArray[np.float32]


@dataclass(frozen=True)
class Leak:
    """An image of val or test that an earlier split also has, in the order train, val, test.

    Attributes:
        image: path below the data folder.
        like: path of the matching image in the earlier split.
        label: class of `image`.
        reason: why they match: "group NAME", or "near-duplicate, D bits".
    """

    image: str
    like: str
    label: str
    reason: str


@dataclass(frozen=True)
class AuditResult:
    """The result of `audit`.

    Attributes:
        images: number of images compared.
        grouped: how many of them have a known group.
        leaks: every match between an image and one of an earlier split.
    """

    images: int
    grouped: int
    leaks: tuple[Leak, ...]

    def per_class(self) -> dict[str, int]:
        """Number of leaking images by class, largest first."""
        counts: dict[str, int] = {}
        for label, _ in {(leak.label, leak.image) for leak in self.leaks}:
            counts[label] = counts.get(label, 0) + 1
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    def sentence(self) -> str:
        """A summary for people."""
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
        """The JSON document."""
        return {**asdict(self), "per_class": self.per_class()}


def signature_of(image: Image.Image) -> Signature:
    """The signature of an RGB image. The hashes are `imagehash.phash` (cosine transform)."""
    import imagehash

    small = image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    grey = np.asarray(small)
    bits = [imagehash.phash(Image.fromarray(turned)).hash.flatten() for turned in _oriented(grey)]
    centred = grey.astype(np.float32) - grey.mean()
    thumbnail = centred / max(float(np.linalg.norm(centred)), 1e-6)
    return Signature(np.packbits(bits, axis=1).view(np.uint64)[:, 0], thumbnail)


def _oriented(grey: NDArray[Any]) -> list[NDArray[Any]]:
    """A square in its eight orientations: four quarter turns, and each of them mirrored."""
    turned = [np.ascontiguousarray(np.rot90(grey, quarters)) for quarters in range(4)]
    return turned + [np.ascontiguousarray(one[:, ::-1]) for one in turned]


def read_groups(table: Path, files: Sequence[Path], folder: Path) -> dict[Path, str]:
    """The group (lesion or patient) of each image that has one.

    Args:
        table: CSV with a column of `IMAGE_COLUMNS` and one of `GROUP_COLUMNS`.
        files: images.
        folder: the data folder that holds them.

    Raises:
        LesionliteError: no such file or columns, a ragged row, a name that fits several images, an
            image in two groups, or no row names an image.
    """
    every = list(read_table(table, (IMAGE_COLUMNS, GROUP_COLUMNS)))
    image, group = IMAGE_COLUMNS[0], GROUP_COLUMNS[0]
    rows = [(where, row[image], group_name(row[group])) for where, row in every]
    rows = [row for row in rows if row[2]]
    groups: dict[Path, str] = {}
    unknown = 0
    matched = match_images([(where, name) for where, name, _ in rows], files, folder)
    for file, (where, name, known) in zip(matched, rows, strict=True):
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
    """Compare all splits for images of one group and for near-duplicates.

    Args:
        folder: the data folder.
        dataset: its splits.
        signatures: the signature of every image (see `decode_all`).
        groups: CSV, see `read_groups`; by default the data folder's split.csv, if it has one.

    Raises:
        LesionliteError: the CSV cannot be read.
    """
    if groups is None and (folder / SPLIT_TABLE).is_file():
        groups = folder / SPLIT_TABLE
    splits = dataset.splits()
    files = [file for split in splits for file in split.files]
    known = read_groups(groups, files, folder) if groups else {}
    leaks: list[Leak] = []
    for earlier, later in combinations(splits, 2):
        leaks += _same_group(folder, earlier, later, known)
        leaks += _near_duplicates(folder, earlier, later, signatures)
    return AuditResult(len(files), len(known), tuple(leaks))


def decode_all(
    dataset: Dataset, skip_bad: bool
) -> tuple[Dataset, dict[Path, Signature], list[Path]]:
    """Decode every image once, and print which ones are left out.

    Returns:
        The dataset without the files that cannot be decoded, the signatures of its images, and the
        files left out.

    Raises:
        LesionliteError: an image cannot be decoded and `skip_bad` is off, or a split or a class of
            train/ has no image left.
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
    return (
        Dataset(train, val, test[0] if test else None, dataset.note, dataset.disclaimer),
        signatures,
        list(bad),
    )


def _first_of(split: Split, label: str) -> Path:
    return split.files[split.targets.index(split.labels.index(label))]


def _same_group(
    folder: Path, earlier: Split, later: Split, groups: Mapping[Path, str]
) -> Iterator[Leak]:
    first = {groups[file]: file for file in reversed(earlier.files) if file in groups}
    for file, target in zip(later.files, later.targets, strict=True):
        group = groups.get(file, "")
        if group in first:
            yield _leak(folder, file, first[group], later.labels[target], f"group {group}")


def _near_duplicates(
    folder: Path, earlier: Split, later: Split, signatures: Mapping[Path, Signature]
) -> Iterator[Leak]:
    """Pairs whose hashes and thumbnails agree in one of the eight orientations."""
    hashes = np.array([signatures[file].hashes[0] for file in earlier.files])
    for start in range(0, len(later.files), CHUNK):
        files = later.files[start : start + CHUNK]
        oriented = np.stack([signatures[file].hashes for file in files])  # [files, 8]
        distances = np.min([np.bitwise_count(h[:, None] ^ hashes) for h in oriented.T], axis=0)
        for row, column in zip(*np.nonzero(distances <= MAX_DISTANCE), strict=True):
            a, b = files[row], earlier.files[column]
            if _correlation(signatures[a], signatures[b]) >= MIN_CORRELATION:
                label = later.labels[later.targets[start + row]]
                bits = distances[row, column]
                yield _leak(folder, a, b, label, f"near-duplicate, {bits} bits")


def _correlation(a: Signature, b: Signature) -> float:
    """Largest correlation of the thumbnails over the orientations of `a`."""
    return max(float((turned * b.thumbnail).sum()) for turned in _oriented(a.thumbnail))


def _leak(folder: Path, image: Path, like: Path, label: str, reason: str) -> Leak:
    a, b = (file.relative_to(folder).as_posix() for file in (image, like))
    return Leak(a, b, label, reason)
