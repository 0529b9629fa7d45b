"""Which images a run was trained on: their names and hashes, kept in its `data.json`."""

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
SHOWN = 3  # names of each kind of difference


@dataclass(frozen=True)
class Memory:
    """The data of a training.

    Attributes:
        labels: classes in the order of the network's outputs.
        train: SHA-256 of each training image by its path below the data folder, with "/".
        val: the same of the validation images.
        version: of this record's meaning.
    """

    labels: tuple[str, ...]
    train: dict[str, str]
    val: dict[str, str]
    version: int = VERSION

    def __post_init__(self) -> None:
        """Refuse a record that a later lesionlite wrote."""
        if self.version != VERSION:
            raise LesionliteError(f"version is {self.version}; expected {VERSION}")


def remember(dataset: Dataset, data: Path) -> Memory:
    """Hash the images that training and validation take.

    Args:
        dataset: only of images that can be decoded, see `lesionlite.train.data.audit.inspected`.
        data: folder that they lie below.

    Raises:
        LesionliteError: a name that is not UTF-8, or something that is no regular file.
    """
    train, val = (_hashes(split.files, data) for split in (dataset.train, dataset.val))
    return Memory(dataset.labels, train, val)


def _hashes(files: Sequence[Path], data: Path) -> dict[str, str]:
    def one(file: Path) -> str:
        refuse_unreadable_name(file.relative_to(data))
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe would be waited for without end
            raise LesionliteError(f"{file} is no regular file, so it is no image; remove it")
        return sha256_file(file)

    with ThreadPoolExecutor() as pool:  # hashlib lets go of the GIL
        hashes = list(pool.map(one, files))
    return {f.relative_to(data).as_posix(): h for f, h in zip(files, hashes, strict=True)}


def write_memory(run: Path, memory: Memory) -> None:
    """Write a run's data.json, all or nothing."""
    write_json(run / DATA, asdict(memory))


def read_memory(run: Path) -> Memory | None:
    """What a run remembers of its data; None if it is older than that.

    Raises:
        LesionliteError: if its data.json is damaged.
    """
    if read_json(run / DATA) is None:
        return None
    return read_record(run / DATA, Memory, advice="take it from a copy of the run, or train anew")


def difference(before: Memory, now: Memory) -> str:
    """What differs between the data of a run and other data, in words; "" if nothing does."""
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
    """The settings in which a train.json differs from `config`.

    One that the file lacks is newer than the run, which was trained as its default says.
    """
    current = json.loads(json.dumps(asdict(config)))
    defaults = {row.name: row.default for row in fields(TrainConfig)}
    return [key for key, value in current.items() if saved.get(key, defaults[key]) != value]


def is_finished_with(run: Path, config: TrainConfig, memory: Memory) -> str:
    """Why a folder holds no finished run of these settings on this data; "" if it holds one.

    Versions of toolchains play no part. Whether scores of the test split are there is not looked
    at.

    Raises:
        LesionliteError: if its train.json or data.json is damaged.
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
