"""Choose the training images that w8a8, w8, w6 and w4 are quantized with."""

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

FEWEST = 10  # images; ranges from fewer would not fit other images
WITHOUT = "or leave these precisions out with --precisions fp32 fp16 w8"


def choose(split: Split, images: int, seed: int) -> list[Path]:
    """Choose calibration images at random, evenly over the classes.

    Classes take turns to give an image until there are enough. A class that runs out of images
    drops out.

    Args:
        split: the training split.
        images: the number of images; if the split has fewer, all are chosen.
        seed: of the choice.

    Returns:
        The files, sorted.
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
    assert data is not None  # calibration_files refuses it
    pixels = load_inputs(files, contract, "reading calibration images")
    return pixels, [file.relative_to(data).as_posix() for file in files]


def calibration_files(config: ExportConfig, labels: Sequence[str], data: Path | None) -> list[Path]:
    """The calibration files.

    `lesionlite build` calls this before it trains, so that errors show up early.

    Args:
        config: gives the number of images and the seed.
        labels: the network's.
        data: data folder; the images come from its train/.

    Raises:
        LesionliteError: there is no data folder, there are too few images, or one of them is also
            in test/.
    """
    if data is None:
        raise LesionliteError(
            "w8a8, w6 and w4 need images to calibrate on: add --data FOLDER (with train/ in it), "
            + WITHOUT
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
            f"{asked} {len(files)} images to calibrate w8a8, w6 and w4 on, which say too little "
            f"about others: give {FEWEST} or more (300 are usual), {WITHOUT}"
        )
    _refuse_test_images(files, data)
    return files


def _refuse_test_images(files: list[Path], data: Path) -> None:
    """Refuse calibration images that are also in test/.

    Only files of equal size are read.
    """
    judged: dict[int, list[Path]] = {}
    for file in find_images(data / "test").files if (data / "test").is_dir() else ():
        if file.is_file():  # reading a pipe would hang
            judged.setdefault(file.stat().st_size, []).append(file)
    for file in files:
        for other in judged.get(file.stat().st_size, []):
            if cmp(file, other, shallow=False):
                raise LesionliteError(
                    f"{file} would calibrate files, but it is the same image as {other}, which "
                    "judges them: remove it from one of train/ and test/"
                )
