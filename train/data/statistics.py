"""Fifteen numbers that describe an image's colours and its detail, whatever it shows."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.rejection import STATISTICS
from lesionlite.train.data.images import Pixels

Floats = NDArray[np.float64]
NO_CONTRAST, NO_DETAIL = 0.01, 0.002  # added before a log, so that plain images have one
BLOCKS = (1, 2, 4, 8)  # pixels


def image_statistics(images: Iterable[Pixels]) -> Floats:
    """The statistics of images, [N, 15]; the apps compute the same.

    They are, of values from 0 to 1: the mean of red, green and blue; the log of the standard
    deviation of red, green, blue, red - green, and green - blue; how much brighter the middle (half
    of the side) is in red, green and blue; and the log of the mean difference between neighbours in
    grey, of blocks of 1, 2, 4 and 8 pixels.

    Args:
        images: N of uint8 [S, S, 3] RGB, S at least 16.
    """
    rows = [np.fromiter(_describe(image / 255), float, STATISTICS) for image in images]
    return np.array(rows).reshape(-1, STATISTICS)


def _describe(image: Any) -> Iterator[float]:
    side = len(image)
    red, green, blue = np.moveaxis(image, -1, 0)
    mean = image.mean((0, 1))
    yield from mean
    for values in (red, green, blue, red - green, green - blue):
        yield np.log(values.std() + NO_CONTRAST)
    edge = side // 4
    yield from image[edge : side - edge, edge : side - edge].mean((0, 1)) - mean
    grey = image.mean(-1)
    for block in BLOCKS:
        yield np.log(_roughness(_shrunk(grey, block)) + NO_DETAIL)


def _shrunk(grey: Floats, block: int) -> Floats:
    """The means of whole blocks; what is left on the right and at the bottom is cut off."""
    cells = len(grey) // block
    kept = grey[: cells * block, : cells * block].reshape(cells, block, cells, block)
    return np.asarray(kept.mean((1, 3)))


def _roughness(grey: Floats) -> float:
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()) / 2
