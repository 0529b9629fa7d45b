"""The record of a run's images, `data.json`: their names and hashes, to recognize the data."""

import json
import stat
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lesionlite.documents import read_json, read_record
from lesionlite.errors import LesionliteError
from lesionlite.files import sha256_file, write_json
from lesionlite.layout import DATA, WEIGHTS, read_settings
from lesionlite.train.config import TrainConfig
from lesionlite.train.data.folders import refuse_unreadable_name
from lesionlite.train.data.splits import Dataset

VERSION = 1
WITHOUT_EFFECT = ("cache", "workers")  # settings that change no pixel and no order
SHOWN = 3  # names listed of each kind of difference


@dataclass(frozen=True)
class Memory:
    """The images that a run was trained on.

    Attributes:
        labels: classes in the order of the network's outputs.
        train: SHA-256 of each training image, by its path relative to the data folder, with "/".
        val: the same for the validation images.
        version: of the file format.
        audit: a sentence on lesions, patients and near-duplicates that are in two splits.
    """

    labels: tuple[str, ...]
    train: dict[str, str]
    val: dict[str, str]
    version: int = VERSION
    audit: str = ""

    def __post_init__(self) -> None:
        """Refuse a record that a newer version wrote.

        Raises:
            LesionliteError: naming both versions.
        """
        if self.version != VERSION:
            raise LesionliteError(f"version is {self.version}; expected {VERSION}")


def remember(dataset: Dataset, data: Path) -> Memory:
    """Hash the training and validation images.

    Args:
        dataset: images that can all be decoded; see `lesionlite.train.data.audit.decode_all`.
        data: the data folder.

    Raises:
        LesionliteError: if a name is not UTF-8, or a path is no regular file.
    """
    train, val = (_hashes(split.files, data) for split in (dataset.train, dataset.val))
    return Memory(dataset.labels, train, val)


def _hashes(files: Sequence[Path], data: Path) -> dict[str, str]:
    def one(file: Path) -> str:
        refuse_unreadable_name(file.relative_to(data))
        if not stat.S_ISREG(file.stat().st_mode):  # reading a pipe would block
            raise LesionliteError(f"{file} is no regular file, so it is no image; remove it")
        return sha256_file(file)

    with ThreadPoolExecutor() as pool:  # hashlib releases the GIL
        hashes = list(pool.map(one, files))
    return {f.relative_to(data).as_posix(): h for f, h in zip(files, hashes, strict=True)}


def write_memory(run: Path, memory: Memory) -> None:
    """Write a run's data.json, atomically."""
    write_json(run / DATA, asdict(memory))


def read_memory(run: Path) -> Memory | None:
    """Read a run's data.json; None if there is none, as in runs of older versions.

    Raises:
        LesionliteError: if the file is damaged.
    """
    if read_json(run / DATA) is None:
        return None
    return read_record(run / DATA, Memory, advice="take it from a copy of the run, or train anew")


def difference(before: Memory, now: Memory) -> str:
    """Describe the difference between two records; "" if there is none."""
    parts = []
    if before.labels != now.labels:
        parts.append(f"the classes were {', '.join(before.labels)} and are {', '.join(now.labels)}")
    for split, old, new in (("train", before.train, now.train), ("val", before.val, now.val)):
        kinds = {
            "added": [name for name in new if name not in old],
            "removed": [name for name in old if name not in new],
            "changed": [name for name in new if name in old and new[name] != old[name]],
        }
        for kind, names in kinds.items():
            if names:
                more = ", ..." if len(names) > SHOWN else ""
                shown = ", ".join(sorted(names)[:SHOWN]) + more
                what = "image is" if len(names) == 1 else "images are"
                parts.append(f"{len(names)} {what} {kind} in {split}/ ({shown})")
    return "; ".join(parts)


def other_settings(saved: Mapping[str, Any], config: TrainConfig) -> list[str]:
    """The names of the settings in which a train.json differs from `config`.

    A setting that the file lacks was added after the run, which behaved as its default does.
    Settings that change how fast it trains, and nothing else, are not compared.
    """
    current = json.loads(json.dumps(asdict(config)))
    defaults = {field.name: field.default for field in fields(TrainConfig)}
    return [
        key
        for key, value in current.items()
        if key not in WITHOUT_EFFECT and saved.get(key, defaults[key]) != value
    ]


def is_finished_with(run: Path, config: TrainConfig, memory: Memory) -> str:
    """Whether a folder holds a finished run with these settings on this data.

    Versions of toolchains are not compared, and scores of the test split are not required.

    Returns:
        "" if it does, or the reason why not.

    Raises:
        LesionliteError: if train.json or data.json is damaged.
    """
    saved, before = read_settings(run), read_memory(run)
    if not saved:
        return f"{run} holds no run"
    if not saved.get("finished"):
        return f"the run in {run} is not finished"
    if not (run / WEIGHTS).is_file():
        return f"the run in {run} has no {WEIGHTS}"
    other = other_settings(saved, config)
    if other:
        return f"{run} was trained with other settings ({', '.join(other)})"
    if before is None:
        return f"{run} does not tell which images it was trained on (it has no {DATA})"
    apart = difference(before, memory)
    return f"{run} was trained on other images: {apart}" if apart else ""
