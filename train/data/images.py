"""Turn images into a network's input, one or many at once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lesionlite.console import track
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.files import replacing
from lesionlite.train.data.decoding import open_image
from lesionlite.train.data.resample import RESAMPLERS, resampler_of

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
AHEAD = 64  # number of images that are decoded in advance
MOST_PIXELS = 1 << 26  # of a resized image: 256 MiB, on each core
DECODING = 4  # part of a cache's key; increase it when decoding gives other pixels


def to_input(
    image: "Image.Image | Pixels", contract: Contract, resampler: str | None = None
) -> Pixels:
    """Resize and crop one image as the contract says.

    Args:
        image: an RGB Pillow image, or uint8 [H, W, 3].
        contract: its resizing.
        resampler: key of `RESAMPLERS` to use instead of the contract's own.

    Returns:
        uint8 [S, S, 3], what every artifact takes.

    Raises:
        LesionliteError: an array of another type or shape, or an image so oblong that resizing it
            would take too much memory.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise LesionliteError(
                f"an image must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}"
            )
        image = Image.fromarray(image)
    side, resample = contract.side, RESAMPLERS[resampler or resampler_of(contract)]
    if contract.resize == "squash":
        return np.array(
            resample(image, (side, side))
        )  # a copy, because torch needs a writable array
    scale = contract.resize_side / min(image.size)
    width, height = (max(contract.resize_side, round(length * scale)) for length in image.size)
    if width * height > MOST_PIXELS:
        raise LesionliteError(
            f"an image of {image.width} x {image.height} pixels is too oblong: with its shorter "
            f"side at {contract.resize_side} it would have {width} x {height}; cut it, or choose "
            "resize squash"
        )
    left, top = (width - side) // 2, (height - side) // 2
    return np.array(resample(image, (width, height)).crop((left, top, left + side, top + side)))


def decode(
    files: Sequence[Path], contract: Contract, resampler: str | None = None
) -> Iterator[Pixels]:
    """Decode and resize files in order on all cores, up to `AHEAD` of them in advance.

    Args:
        files: images.
        contract: its resizing.
        resampler: key of `RESAMPLERS` to use instead of the contract's own.

    Yields:
        uint8 [S, S, 3] for each file.

    Raises:
        LesionliteError: naming the first file that cannot be decoded.
    """
    with ThreadPoolExecutor() as pool:  # Pillow releases the GIL
        coming: deque[Future[Pixels]] = deque()
        for file in files:
            coming.append(pool.submit(_decode_one, file, contract, resampler))
            if len(coming) > AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def _decode_one(file: Path, contract: Contract, resampler: str | None) -> Pixels:
    image = open_image(file)
    try:
        return to_input(image, contract, resampler)
    except LesionliteError as error:
        raise LesionliteError(f"{file}: {error}") from error


def load_inputs(files: Sequence[Path], contract: Contract, description: str = "") -> Pixels:
    """Decode and resize `files` to uint8 [N, S, S, 3]; shows progress if there is a description.

    Raises:
        LesionliteError: naming the first file that cannot be decoded.
    """
    out = np.empty((len(files), contract.side, contract.side, 3), np.uint8)
    _fill(out, decode(files, contract), description)
    return out


def write_inputs(
    path: Path, inputs: Iterable[Pixels], total: int, description: str, ours: bool = False
) -> None:
    """Write uint8 [S, S, 3] images to a .npy file [N, S, S, 3], all or nothing, with progress.

    Memory holds only a few images at a time.
    """
    inputs = iter(inputs)
    first = next(inputs)
    with replacing(path, ours) as temporary:
        out = np.lib.format.open_memmap(temporary, "w+", np.uint8, (total, *first.shape))
        _fill(out, chain([first], inputs), description)
        out.flush()


def _fill(out: Pixels, inputs: Iterable[Pixels], description: str) -> None:
    if description:
        inputs = track(inputs, description, len(out))
    for index, pixels in enumerate(inputs):
        out[index] = pixels


def inspect(
    files: Sequence[Path], look: Callable[[Image.Image], Any]
) -> tuple[dict[Path, Any], dict[Path, str]]:
    """Decode every file once, with progress.

    Args:
        files: images.
        look: function of an RGB image.

    Returns:
        The function's results by file, and error messages of the files that cannot be decoded.
    """

    def one(file: Path) -> tuple[Any, str]:
        try:
            return look(open_image(file)), ""
        except LesionliteError as error:
            return None, str(error)

    with ThreadPoolExecutor() as pool:
        found = list(track(pool.map(one, files), "checking images", len(files)))
    pairs = list(zip(files, found, strict=True))
    return {f: seen for f, (seen, p) in pairs if not p}, {f: p for f, (_, p) in pairs if p}


def find_bad(files: Sequence[Path]) -> dict[Path, str]:
    """Decode every file once; returns the error messages of those that cannot be decoded."""
    return inspect(files, lambda image: None)[1]
