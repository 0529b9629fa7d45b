"""Which training images set the ranges of a statically quantized network."""

import random
from collections.abc import Sequence
from filecmp import cmp
from pathlib import Path

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.config import ExportConfig
from lesionlite.train.data.folders import find_images
from lesionlite.train.data.images import Pixels, find_bad, load_inputs
from lesionlite.train.data.splits import Split, read_split

FEWEST = 10  # images; the ranges of fewer say little about others
WITHOUT = "or leave w8a8 out with --precisions fp32 fp16 w8"


def choose(split: Split, images: int, seed: int) -> list[Path]:
    """Draw calibration images: seeded, stratified by class, none twice.

    Classes take turns until there are enough, so that rare ones are represented as well as
    common ones as far as their images go.

    Args:
        split: the training split.
        images: how many; all of them if there are fewer.
        seed: of the draw.

    Returns:
        Files, sorted.
    """
    generator = random.Random(seed)
    piles: dict[int, list[Path]] = {}
    for file, target in zip(split.files, split.targets, strict=True):
        piles.setdefault(target, []).append(file)
    for pile in piles.values():
        generator.shuffle(pile)
    chosen: list[Path] = []
    while len(chosen) < images and any(piles.values()):
        for target in sorted(piles):
            if piles[target] and len(chosen) < images:
                chosen.append(piles[target].pop())
    return sorted(chosen)


def calibration_images(
    config: ExportConfig, contract: Contract, data: Path | None
) -> tuple[Pixels, list[str]]:
    """The calibration images uint8 [N, S, S, 3], and their names relative to the data folder.

    Raises:
        LesionliteError: see `calibration_files`.
    """
    files = calibration_files(config, contract.labels, data)
    assert data is not None  # or it had been refused
    pixels = load_inputs(files, contract, "reading calibration images")
    return pixels, [file.relative_to(data).as_posix() for file in files]


def calibration_files(config: ExportConfig, labels: Sequence[str], data: Path | None) -> list[Path]:
    """The files that calibrate: known before anything is trained, so that nothing is in vain.

    Args:
        config: how many, and the seed.
        labels: of the network.
        data: data folder whose train/ gives the images.

    Raises:
        LesionliteError: no data folder, too few images, or one that is a test image, too.
    """
    if data is None:
        raise LesionliteError(
            "w8a8 needs images to calibrate on: add --data FOLDER (with train/ in it), " + WITHOUT
        )
    split = read_split(data / "train", labels)
    files = choose(split, config.calibration, config.calibration_seed)
    if find_bad(files):
        files = choose(
            split.without(find_bad(split.files)), config.calibration, config.calibration_seed
        )
    if len(files) < FEWEST:
        asked = "--calibration asks for" if config.calibration < FEWEST else "train/ has only"
        raise LesionliteError(
            f"{asked} {len(files)} images that w8a8 can be calibrated on, which say too little "
            f"about others: give {FEWEST} or more (300 are usual), {WITHOUT}"
        )
    _refuse_test_images(files, data)
    return files


def _refuse_test_images(files: list[Path], data: Path) -> None:
    """Refuse calibration on what the artifacts will be judged on; reads files of one size alone."""
    judged: dict[int, list[Path]] = {}
    for file in find_images(data / "test").files if (data / "test").is_dir() else ():
        if file.is_file():  # a pipe is none
            judged.setdefault(file.stat().st_size, []).append(file)
    for file in files:
        for other in judged.get(file.stat().st_size, []):
            if cmp(file, other, shallow=False):
                raise LesionliteError(
                    f"{file} would calibrate w8a8, but it is the same image as {other}, which "
                    "judges it: remove it from one of train/ and test/"
                )
