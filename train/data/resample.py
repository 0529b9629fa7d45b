"""Resampling methods by name; a contract chooses one."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from lesionlite.contract import Contract

Resample = Callable[[Image.Image, tuple[int, int]], Image.Image]


def _pillow(filter_: Image.Resampling) -> Resample:
    """A filter of Pillow. All but nearest widen when the image shrinks (antialiasing).

    The width is resized first, then the height, with values rounded to bytes in between. Pillow 13
    begins with the height where that is less work, and so gives a tall image other pixels than the
    apps and older versions of Pillow do.
    """
    return lambda image, size: image.resize((size[0], image.height), filter_).resize(size, filter_)


def _plain(mode: str) -> Resample:
    """A filter of fixed width (no antialiasing), as in canvas, OpenCV and Android's Bitmap."""

    def resample(image: Image.Image, size: tuple[int, int]) -> Image.Image:
        import torch
        from torch.nn.functional import interpolate

        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
        resized = interpolate(pixels, size[::-1], mode=mode, align_corners=False)
        return Image.fromarray(resized[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy())

    return resample


RESAMPLERS: dict[str, Resample] = {
    "nearest": _pillow(Image.Resampling.NEAREST),
    "bilinear": _pillow(Image.Resampling.BILINEAR),
    "bilinear, no antialias": _plain("bilinear"),
    "bicubic": _pillow(Image.Resampling.BICUBIC),
    "bicubic, no antialias": _plain("bicubic"),
    "area": _pillow(Image.Resampling.BOX),
}


def resampler_of(contract: Contract) -> str:
    """The key in `RESAMPLERS` of the contract's method."""
    plain = f"{contract.interpolation}, no antialias"
    return contract.interpolation if contract.antialias or plain not in RESAMPLERS else plain
