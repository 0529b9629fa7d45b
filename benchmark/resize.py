"""Resize drift: the cost of resizing images in another way than the contract says."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from lesionlite.contract import Contract
from lesionlite.export.precision import PRECISIONS
from lesionlite.train.data.images import Pixels, decode
from lesionlite.train.data.resample import RESAMPLERS, resampler_of

JPEG, QUALITY = "the contract's, then JPEG", 85
TOLERATED = PRECISIONS["w8"].max_f1_loss


@dataclass(frozen=True)
class Drift:
    """One artifact's answers to images that were resized in another way.

    Attributes:
        artifact: File name.
        resizer: Key of `RESAMPLERS`, or `JPEG`.
        delta_weighted_f1: Change against images resized as the contract says; below 0 is a loss.
        top1_agreement: Share of the images with the same answer.
    """

    artifact: str
    resizer: str
    delta_weighted_f1: float
    top1_agreement: float


def resizers(contract: Contract) -> list[str]:
    """The ways to resize, without the contract's own."""
    return [name for name in (*RESAMPLERS, JPEG) if name != resampler_of(contract)]


def resized(
    files: Sequence[Path], contract: Contract, resizer: str, pixels: Pixels
) -> Iterable[Pixels]:
    """The images, resized by one of `resizers`; `pixels` are resized as the contract says."""
    if resizer == JPEG:
        return map(_through_jpeg, pixels)
    return decode(files, contract, resizer)


def _through_jpeg(pixels: Pixels) -> Pixels:
    """Encode and decode the image, as an app does that saves its crop."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=QUALITY)
    return np.array(Image.open(stream))


def verdicts(drifts: Sequence[Drift]) -> dict[str, bool]:
    """By resizer: whether every artifact loses at most `TOLERATED`."""
    worst: dict[str, float] = {}
    for row in drifts:
        worst[row.resizer] = min(worst.get(row.resizer, 0.0), row.delta_weighted_f1)
    return {name: -loss <= TOLERATED for name, loss in worst.items()}
