"""Which training images set the ranges of a statically quantized network."""

import random
from pathlib import Path

from train.data import Split


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
