"""Resize drift: apps resize with whatever their platform has. What does that cost?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from lesionlite.contract import Contract
from lesionlite.train.data.images import Pixels, decode
from lesionlite.train.data.resample import RESAMPLERS, resampler_of

JPEG, QUALITY = "the contract's, then JPEG", 85
TOLERATED = 0.01  # loss of weighted F1, the gate's for quantized files


@dataclass(frozen=True)
class Drift:
    """What one artifact says of images that were resized otherwise.

    Attributes:
        artifact: file name.
        resizer: key of `RESAMPLERS`, or `JPEG`.
        delta_weighted_f1: to its own on images resized as the contract says; below 0 is a loss.
        top1_agreement: share of the images with the same answer.
    """

    artifact: str
    resizer: str
    delta_weighted_f1: float
    top1_agreement: float


def resizers(contract: Contract) -> list[str]:
    """Those that are not the contract's own."""
    return [name for name in (*RESAMPLERS, JPEG) if name != resampler_of(contract)]


def resized(files: Sequence[Path], contract: Contract, resizer: str) -> Iterable[Pixels]:
    """The images as `decode` gives them, but by another resizer, one of `resizers`."""
    if resizer == JPEG:
        return map(_through_jpeg, decode(files, contract))
    return decode(files, contract, resizer)


def _through_jpeg(pixels: Pixels) -> Pixels:
    """Encoded and decoded again, as by an app that saves what it has cut out."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=QUALITY)
    return np.array(Image.open(stream))


def verdicts(drifts: Sequence[Drift]) -> dict[str, bool]:
    """By resizer: whether no artifact loses more than is tolerated."""
    worst: dict[str, float] = {}
    for row in drifts:
        worst[row.resizer] = min(worst.get(row.resizer, 0.0), row.delta_weighted_f1)
    return {name: -loss <= TOLERATED for name, loss in worst.items()}
