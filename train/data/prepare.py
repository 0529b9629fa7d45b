"""Merge raw collections into one ImageFolder, so that no lesion or patient is in two splits."""

import csv
import filecmp
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lesionlite.console import track
from lesionlite.contract import MEDICAL
from lesionlite.documents import read_json
from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.files import fingerprint, replacing, write_json
from lesionlite.layout import DATASET, SPLIT_TABLE
from lesionlite.train.data.divide import divide
from lesionlite.train.data.folders import class_name
from lesionlite.train.data.kaggle import lesions_of, local_folder, merged
from lesionlite.train.data.rows import group_name, image_name, read_table
from lesionlite.train.data.sources import (
    CLASSES,
    DOMAINS,
    RawSource,
    Sample,
    dermoscopic,
    many,
    open_sources,
    photographs,
)
from lesionlite.train.data.splits import SPLITS

__all__ = ["CLASSES", "SPLITS", "PrepareConfig", "Summary", "prepare"]

COLUMNS = ("image", "class", "group", "split")
Counts = dict[str, dict[str, int]]


@dataclass(frozen=True)
class PrepareConfig:
    """Merge raw collections into an ImageFolder, split by lesion or patient."""

    out: Path
    """Folder to make: train/, val/ and test/ with a folder per class, split.csv, dataset.json."""
    ham10000: Path | None = None
    """Folder with HAM10000_metadata.csv and ISIC_*.jpg anywhere below."""
    isic2019: Path | None = None
    """Folder with ISIC_2019_Training_GroundTruth.csv, _Metadata.csv and, if any, the images."""
    msld: Path | None = None
    """Folder with photographs named CODE_GGG_NN.jpg (class, patient, image) anywhere below;
    folders of augmented copies are left out."""
    kaggle: str | None = None
    """The 14-class merge ahmedxc4/skin-ds: that handle, to download it, or a folder that holds it.
    Its own split is not kept; --isic2019 or --ham10000 (their tables will do) tell the lesions."""
    split: Path | None = None
    """CSV (image,class,group,split) to take as it is instead of dividing anew."""
    val: float = 0.1
    """Share of each class for val, unless --split is given."""
    test: float = 0.1
    """Share of each class for test, unless --split is given."""
    seed: int = 0
    """Another seed divides the groups otherwise."""
    copy: bool = False
    """Copy the images instead of hard-linking them."""

    def __post_init__(self) -> None:
        """Refuse what cannot be prepared.

        Raises:
            LesionliteError: if no source is named, a share is not sane, or out lies in a source.
        """
        folders = [folder for _, folder, _ in self.folders()]
        if not folders:
            raise LesionliteError(
                "prepare needs images: give --ham10000, --isic2019, --msld or --kaggle"
            )
        # also refuses NaN
        if not (self.val > 0 and self.test > 0 and self.val + self.test < 1):
            raise LesionliteError(
                f"--val {self.val} and --test {self.test} must be above 0 and together below 1"
            )
        for folder in folders:
            if self.out.resolve().is_relative_to(folder.resolve()):
                raise LesionliteError(f"--out {self.out} lies in {folder}; put it elsewhere")

    def folders(self) -> list[tuple[str, Path, str]]:
        """The given sources: flag, folder, and the prefix of their images' names."""
        every = (
            ("--ham10000", self.ham10000, "ISIC_"),
            ("--isic2019", self.isic2019, "ISIC_"),
            ("--msld", self.msld, ""),
            ("--kaggle", Path(self.kaggle) if self.kaggle else None, ""),
        )
        return [(flag, folder, prefix) for flag, folder, prefix in every if folder]


@dataclass(frozen=True)
class Summary:
    """The result of `prepare`.

    Attributes:
        out: the folder.
        counts: number of images by split and class.
        empty: classes without images.
        notes: further notes for the user.
        up_to_date: whether the folder existed already and nothing was done.
    """

    out: Path
    counts: Counts
    empty: tuple[str, ...]
    notes: tuple[str, ...]
    up_to_date: bool = False

    def sentences(self) -> list[str]:
        """All notes for the user, one per line."""
        first = [f"{self.out} is up to date, nothing to do"] if self.up_to_date else []
        names, several = ", ".join(self.empty), len(self.empty) > 1
        stay = "have no image; they stay classes" if several else "has no image; it stays a class"
        absent = [f"{names} {stay} of the contract"] if names else []
        return [*first, *absent, *self.notes]


def prepare(config: PrepareConfig) -> Summary:
    """Read the sources, divide them into splits, and write `config.out`, all or nothing.

    If an identical run wrote the folder, it stays as it is.

    Raises:
        LesionliteError: a source or the split cannot be used, or `out` holds something else.
    """
    try:
        return _prepare(config)
    except OSError as error:  # names the file
        raise LesionliteError(f"prepare cannot read or write a file: {error}") from error


def _prepare(config: PrepareConfig) -> Summary:
    if config.kaggle:
        config = replace(config, kaggle=str(local_folder(config.kaggle)))
    sources, notes = open_sources(config.folders())
    rows, more = _given(config.split, sources) if config.split else _divided(config, sources)
    notes += more
    if not rows:
        raise LesionliteError(f"no image is left to prepare: {'; '.join(notes)}")
    rows.sort(key=_target)
    counts = {split: dict.fromkeys(CLASSES, 0) for split in SPLITS}
    for row in rows:
        counts[row.split][row.label] += 1
    empty = tuple(name for name in CLASSES if not any(counts[split][name] for split in SPLITS))
    notes += _thin_classes(rows, counts)
    mark = _fingerprint(rows, config)
    up_to_date = _already(config.out, mark, rows)
    if not up_to_date:
        document = {
            "labels": CLASSES,
            "note": "",
            "disclaimer": MEDICAL,
            "domains": DOMAINS,
            "sources": [source.flag.removeprefix("--") for source in sources],
            "split": config.split.name if config.split else "",
            "seed": config.seed,
            "counts": counts,
            "fingerprint": mark,
        }
        refused = _write(rows, config, document)
        if refused:
            notes.append(f"{many(refused, 'image')} copied, because hard links were refused")
    return Summary(config.out, counts, empty, tuple(notes), up_to_date)


def _divided(config: PrepareConfig, sources: Sequence[RawSource]) -> tuple[list[Sample], list[str]]:
    """The samples of all sources, divided into splits, and notes for the user."""
    by_flag = {source.flag: source for source in sources}
    ham, isic = by_flag.get("--ham10000"), by_flag.get("--isic2019")
    samples, notes = dermoscopic(ham, isic)
    if "--msld" in by_flag:
        samples += photographs(by_flag["--msld"])
    if "--kaggle" in by_flag:
        taken = {name for source in sources[:-1] for name in source.files}  # it comes last
        more, said = merged(by_flag["--kaggle"], taken, lesions_of(ham, isic))
        samples += more
        notes += said
    shares = {"train": 1 - config.val - config.test, "val": config.val, "test": config.test}
    homes = divide(samples, shares, config.seed)
    return [replace(sample, split=homes[sample.group]) for sample in samples], notes


def _given(table: Path, sources: Sequence[RawSource]) -> tuple[list[Sample], list[str]]:
    """The samples of the split in a table, and notes for the user."""
    files: dict[str, Path] = {}
    for source in reversed(sources):
        files.update(source.files)
    rows: dict[str, Sample] = {}
    homes: dict[str, str] = {}
    missing: list[str] = []
    for where, row in read_table(table, COLUMNS):
        name = image_name(row["image"])
        group = group_name(row["group"]) or name
        row["class"] = class_name(row["class"])
        for column, choices in (("class", CLASSES), ("split", SPLITS)):
            if row[column] not in choices:
                raise LesionliteError(f"{where}: {unknown_choice(column, row[column], choices)}")
        if name in rows:
            raise LesionliteError(f"{where}: {row['image']} has a row already; keep one of the two")
        if homes.setdefault(group, row["split"]) != row["split"]:
            raise LesionliteError(
                f"{where}: group {group} is in {row['split']} here and in {homes[group]} above; "
                "put all its images into one split"
            )
        if name not in files:
            missing.append(row["image"])
        rows[name] = Sample(files.get(name, table), row["class"], group, row["split"])
    if missing:
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise LesionliteError(
            f"{table}: {many(len(missing), 'image')} not found below the sources given ({some}); "
            "name the folder that holds them, or delete the rows"
        )
    unlisted = len(files) - len(rows)
    left_out = f"{many(unlisted, 'image')} not listed in {table.name} left out"
    return list(rows.values()), [left_out] if unlisted else []


def _thin_classes(rows: Sequence[Sample], counts: Counts) -> list[str]:
    """Notes about classes that have images, but not in every split."""
    notes = []
    for name in CLASSES:
        absent = [split for split in SPLITS if not counts[split][name]]
        if absent and len(absent) < len(SPLITS):
            groups = len({row.group for row in rows if row.label == name})
            where = " and ".join(absent)
            notes.append(f"{name} has no image in {where}: it has {many(groups, 'group')} in all")
    return notes


def _target(row: Sample) -> str:
    return f"{row.split}/{row.label}/{row.path.name}"


def _fingerprint(rows: Sequence[Sample], config: PrepareConfig) -> str:
    """A hash of all that decides the folder's content. Images count by size, to be fast."""
    assignment = [(_target(row), row.group, row.path.stat().st_size) for row in rows]
    return fingerprint([assignment, config.val, config.test, config.seed, config.copy])


def _already(out: Path, mark: str, rows: Sequence[Sample]) -> bool:
    """Whether `out` holds what this run would write; refuses one that holds something else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    document = read_json(out / DATASET)
    other: Sample | None = None
    if isinstance(document, dict) and document.get("fingerprint") == mark:
        # compares contents only if size or time differ and it is no hard link
        other = next(
            (row for row in track(rows, "compare", len(rows)) if not _same(row, out)), None
        )
        if other is None:
            return True
    why = f": its {_target(other)} is not {other.path}" if other else ""
    raise LesionliteError(
        f"{out} already holds something else{why}; choose another --out or delete it"
    )


def _same(row: Sample, out: Path) -> bool:
    target = out / _target(row)
    return target.is_file() and filecmp.cmp(row.path, target)


def _write(rows: Sequence[Sample], config: PrepareConfig, document: Mapping[str, object]) -> int:
    """Write the folder; returns how many images could not be linked and were copied."""
    refused = 0
    with replacing(config.out.resolve()) as temporary:
        for split in SPLITS:
            for name in CLASSES:  # an empty folder declares a class without images
                (temporary / split / name).mkdir(parents=True)
        for row in track(rows, "prepare", len(rows)):
            linked = _place(row.path, temporary / _target(row), config.copy)
            refused += not linked and not config.copy
        with (temporary / SPLIT_TABLE).open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(COLUMNS)
            table.writerows((_target(row), row.label, row.group, row.split) for row in rows)
        write_json(temporary / DATASET, document)
    return refused


def _place(source: Path, target: Path, copy: bool) -> bool:
    """Link or copy an image to `target`; returns whether it is a hard link."""
    source = source.resolve()  # a hard link to a symbolic link would dangle
    if not copy:
        with suppress(OSError):  # another file system, or one without hard links
            os.link(source, target)
            return True
    shutil.copyfile(source, target)
    times = source.stat()
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))  # for `_same`
    return False
