"""Read raw collections as they are downloaded: their images, with class and group.

A group is the images of one lesion or one patient. It must never be divided between splits.
"""

import filecmp
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.files import need_folder
from lesionlite.train.data.folders import LeftOut, find_images, no_image, sentences
from lesionlite.train.data.rows import (
    HAM_CLASSES,
    HAM_TABLE,
    HAM_TABLES,
    ISIC_TABLE,
    ISIC_TRUTH,
    ham_rows,
    image_name,
    isic_labels,
    isic_lesions,
)

CLASSES = (
    "Actinic keratoses",
    "Basal cell carcinoma",
    "Benign keratosis-like lesions",
    "Chickenpox",
    "Cowpox",
    "Dermatofibroma",
    "HFMD",
    "Healthy",
    "Measles",
    "Melanocytic nevi",
    "Melanoma",
    "Monkeypox",
    "Squamous cell carcinoma",
    "Vascular lesions",
)
MSLD_CLASSES = {
    "MKP": "Monkeypox",
    "CHP": "Chickenpox",
    "CWP": "Cowpox",
    "MSL": "Measles",
    "HFMD": "HFMD",
    "HEALTHY": "Healthy",
}
DOMAINS = {
    "dermoscopic": sorted(set(CLASSES) - set(MSLD_CLASSES.values())),
    "photographs": sorted(MSLD_CLASSES.values()),
}
BESIDE = {  # tables and texts that come with the images are left out without a note
    *map(no_image, ("", ".csv", ".tab", ".txt", ".md", ".pdf", ".json")),
}
# MSLD v2.0 holds each photograph in five folds below "Original Images/.../FOLDS", and augmented
# copies of it below "Augmented Images/.../FOLDS_AUG/foldN_AUG/Train". We know these folders from
# the dataset's README and public code, but not the copies' names, so we detect copies by folder.
AUGMENTED = re.compile(r"augmented[ _]images|folds?\d*_aug", re.IGNORECASE)


@dataclass(frozen=True)
class Sample:
    """One image: its file, class, group and, after the division, split."""

    path: Path
    label: str
    group: str
    split: str = ""


@dataclass(frozen=True)
class RawSource:
    """A raw collection.

    Attributes:
        flag: the flag that names it.
        folder: its folder.
        files: images by name.
        repeats: number of files that were left out as identical copies.
        augmented: number of files that were left out as augmented copies.
        left_out: number of other files that were left out, by reason.
    """

    flag: str
    folder: Path
    files: Mapping[str, Path]
    repeats: int = 0
    augmented: int = 0
    left_out: LeftOut = field(default_factory=dict)

    def table(self, *names: str) -> Path | None:
        """The file with one of these names that is highest in the folder; None if there is none."""
        found = (path for name in names for path in self.folder.rglob(name) if path.is_file())
        return min(found, key=lambda path: len(path.parts), default=None)

    def needed_table(self, *names: str) -> Path:
        """Like `table`; LesionliteError if there is none."""
        found = self.table(*names)
        if found is None:
            raise LesionliteError(
                f"{self.flag}: {self.folder} holds no {names[0]}, which comes with the images"
            )
        return found


def many(number: int, noun: str) -> str:
    """A number with its noun, such as "1 image" and "2,084 images"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _is_copy(path: Path) -> bool:
    """Whether an image is in a folder of augmented copies."""
    return any(AUGMENTED.fullmatch(part) for part in path.parent.resolve().parts)


def open_source(flag: str, folder: Path, prefix: str = "", originals: bool = False) -> RawSource:
    """Find the images anywhere below `folder`.

    MSLD v2.0 repeats every image in each of its folds, so identical copies count once.

    Args:
        flag: the flag that names the folder, for errors.
        folder: the collection.
        prefix: leave out images whose name does not begin with it.
        originals: leave out folders of augmented copies.

    Raises:
        LesionliteError: there is no such folder, or two different images have one name.
    """
    found = find_images(need_folder(folder, f"{flag}: "))
    left_out = {why: n for why, n in found.left_out.items() if why not in BESIDE}
    files: dict[str, Path] = {}
    repeats = augmented = 0
    for path in found.files:
        if not path.name.startswith(prefix):
            why = f"not named {prefix}*"
            left_out[why] = left_out.get(why, 0) + 1
            continue
        if originals and _is_copy(path):
            augmented += 1
            continue
        first = files.setdefault(image_name(path.name), path)
        if first == path:
            continue
        repeats += 1
        if not filecmp.cmp(first, path, shallow=False):
            raise LesionliteError(
                f"{flag}: {first} and {path} are different images of one name; rename "
                "or remove one, or name a folder with the original images only"
            )
    return RawSource(flag, folder, files, repeats, augmented, left_out)


def open_sources(folders: Iterable[tuple[str, Path, str]]) -> tuple[list[RawSource], list[str]]:
    """Open each folder (flag, path, prefix of names); returns also notes about left-out files.

    Raises:
        LesionliteError: as `open_source`; also if a source has neither images nor useful tables.
    """
    # Augmented copies are left out of MSLD only: Kaggle's merge may hold no originals.
    sources = [open_source(*given, originals=given[0] == "--msld") for given in folders]
    notes: list[str] = []
    seen: set[str] = set()
    for source in sources:
        if not source.files:
            _must_serve(source, {other.flag for other in sources})
        if source.repeats:
            notes.append(f"{many(source.repeats, 'identical file')} below {source.flag} ignored")
        if source.augmented:
            copies = many(source.augmented, "augmented file")
            notes.append(f"{copies} below {source.flag} left out: only originals are prepared")
        notes += sentences(source.left_out, source.flag)
        both = len(seen & source.files.keys())
        if both:
            notes.append(f"{many(both, 'image')} of {source.flag} taken from another source")
        seen |= source.files.keys()
    return sources, notes


def _must_serve(source: RawSource, flags: Set[str]) -> None:
    """Refuse a source without images, unless another source needs its tables."""
    none = f"{source.flag}: there is no image below {source.folder}"
    if source.augmented:
        raise LesionliteError(
            f"{none} but {many(source.augmented, 'augmented file')}; name the folder that holds "
            "the original images"
        )
    served = {"--isic2019": {"--ham10000", "--kaggle"}, "--ham10000": {"--kaggle"}}
    if source.flag not in served:
        raise LesionliteError(none)
    if not served[source.flag] & flags:
        others = " or ".join(sorted(served[source.flag]))
        raise LesionliteError(
            f"{none}, and its table alone serves only {others}; add that, or the images"
        )


def _lesions(isic: RawSource) -> dict[str, str]:
    # An ISIC 2019 without images gives only labels; HAM10000 has its own lesions.
    path = isic.needed_table(ISIC_TABLE) if isic.files else isic.table(ISIC_TABLE)
    return isic_lesions(path) if path else {}


def _absent_files(table: str, wanted: Iterable[str], files: Mapping[str, Path]) -> list[str]:
    absent = sum(name not in files for name in wanted)
    return [f"{many(absent, 'image')} named in {table} not found"] if absent else []


def dermoscopic(ham: RawSource | None, isic: RawSource | None) -> tuple[list[Sample], list[str]]:
    """The samples of HAM10000 and ISIC 2019, each image once, and notes for the user.

    A label of ISIC 2019 has priority, because it divides HAM10000's `akiec` into two classes.

    Raises:
        LesionliteError: if a table is missing or malformed, or has an unknown label.
    """
    files = {**(isic.files if isic else {}), **(ham.files if ham else {})}
    if not files:
        return [], []  # Kaggle's merge needs only their tables
    rows = ham_rows(ham.needed_table(*HAM_TABLES)) if ham else {}
    truth = isic_labels(isic.needed_table(ISIC_TRUTH)) if isic else {}
    lesions = _lesions(isic) if isic else {}
    samples: list[Sample] = []
    unlabelled = unknown = undivided = corrected = alone = 0
    for name, path in files.items():
        dx, lesion = rows.get(name, ("", ""))
        label = truth.get(name, HAM_CLASSES.get(dx))
        if not label:
            unlabelled += label is None
            unknown += label is not None
            continue
        undivided += dx == "akiec" and name not in truth
        corrected += dx not in ("", "akiec") and HAM_CLASSES[dx] != label
        group = lesion or lesions.get(name, "")
        alone += not group
        samples.append(Sample(path, label, group or name))
    counted = (
        (unlabelled, "without a row in its collection's table left out"),
        (unknown, "that ISIC 2019 labels UNK left out"),
        (undivided, "HAM10000 calls akiec, not divided by ISIC 2019, went to Actinic keratoses"),
        (corrected, "took ISIC 2019's class, which differs from HAM10000's"),
        (alone, "without a lesion_id: each is a group of its own"),
    )
    notes = [f"{many(number, 'image')} {what}" for number, what in counted if number]
    listed = [name for name, label in truth.items() if label] if isic and isic.files else []
    notes += _absent_files(HAM_TABLE, rows if ham and ham.files else (), files)
    return samples, notes + _absent_files(ISIC_TRUTH, listed, files)


def photographs(source: RawSource) -> list[Sample]:
    """The samples of files named as in MSLD v2.0: CODE_GGG_NN.jpg (class, patient, image).

    Raises:
        LesionliteError: a file has another name, or its code is unknown.
    """
    samples = []
    for name, path in source.files.items():
        match = re.fullmatch(r"([A-Za-z]+)_([^_]+)_[^_]+", name)
        if not match:
            raise LesionliteError(
                f"{source.flag}: {path} is not named CODE_GGG_NN (class, patient, image); rename "
                "it, or name a folder with the original images only"
            )
        code = match[1].upper()
        if code not in MSLD_CLASSES:
            raise LesionliteError(
                f"{source.flag}: {path}: {unknown_choice('class code', match[1], MSLD_CLASSES)}"
            )
        samples.append(Sample(path, MSLD_CLASSES[code], f"{code}_{match[2]}"))
    return samples
