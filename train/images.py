"""Decoding images, and the one way in which an image becomes a network's input."""

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from train.console import track
from train.contract import Contract
from train.errors import LesionliteError
from train.files import replacing
from train.folders import refuse_unreadable_name
from train.resample import RESAMPLERS, resampler_of

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
AHEAD = 64  # images decoded before they are asked for
MOST_PIXELS = 1 << 26  # of an image resized: 256 MiB, of which each core may hold one
BITS, PHOTOMETRIC, ORIENTATION, SAMPLE_FORMAT = 258, 262, 274, 339  # tags of TIFF and EXIF
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"} | {
    *(b"mif1", b"mif2", b"msf1")
}


def open_image(file: Path) -> Image.Image:
    """Decode an image to RGB of 8 bits, turned upright by its EXIF orientation.

    Grey of 16 bits keeps the upper 8, as Pillow does for RGB of 16 bits. Odd EXIF is passed over.
    Of several frames or pages the first one is taken.

    Raises:
        LesionliteError: if there is no such file, or it is no regular file, damaged, truncated, no
            image, or one whose black and white nothing tells.
    """
    refuse_unreadable_name(file)
    _refuse_irregular(file)
    try:
        with _opened(file) as image:
            return _upright(image, file)
    except (LesionliteError, MemoryError):
        raise
    except UnidentifiedImageError:
        reason = "it is empty" if not file.stat().st_size else "it is none of the formats known"
        raise LesionliteError(f"{file} cannot be decoded as an image ({reason})") from None
    except Exception as error:  # decoders raise what comes: RuntimeError, TypeError, struct.error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LesionliteError(f"{file} cannot be decoded as an image ({reason})") from error


def _refuse_irregular(file: Path) -> None:
    """Refuse what is no regular file: a pipe would be waited for without end."""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        if os.path.islink(file):
            raise LesionliteError(f"{file} is a broken link; mend it or remove it") from None
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise LesionliteError(f"there is no image {file}") from None
        raise LesionliteError(f"{file} cannot be read ({error.strerror})") from error
    except ValueError as error:  # a name that no file can have
        raise LesionliteError(f"{str(file)!r} is no file name ({error})") from error
    if stat.S_ISDIR(mode):
        raise LesionliteError(f"{file} is a folder; an image file is expected")
    if not stat.S_ISREG(mode):
        raise LesionliteError(
            f"{file} is no regular file (but a pipe, a socket or a device); an image file is "
            "expected"
        )


def _opened(file: Path) -> Image.Image:
    try:
        return Image.open(file)
    except UnidentifiedImageError:
        with file.open("rb") as stream:
            head = stream.read(12)
        if head[4:8] != b"ftyp" or head[8:] not in HEIF_BRANDS:
            raise
        if not _reads_heif():
            raise LesionliteError(
                f"{file} is a HEIC image, which an extra reads: pip install 'lesionlite[heif]'; or "
                "save it as JPEG"
            ) from None
        return Image.open(file)


@cache
def _reads_heif() -> bool:
    """Let Pillow read HEIF, if the extra is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _upright(image: Image.Image, file: Path) -> Image.Image:
    """As `ImageOps.exif_transpose`, which also writes EXIF anew, and fails where it is odd."""
    if isinstance(image, TiffImageFile):
        # Pillow turns these as it decodes them, by all of their EXIF: it gets the orientation alone
        turned, exif = _orientation(image), Image.Exif()
        exif[ORIENTATION] = turned
        image.getexif = lambda: exif  # type: ignore[method-assign]
        return _rgb(image, file)
    image.load()  # a PNG's EXIF may follow its pixels
    upright = _rgb(image, file)
    turn = TURNS.get(_orientation(image))
    return upright if turn is None else upright.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """From 1 to 8; 1 where EXIF has none, or cannot be read."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # whatever a damaged block makes Pillow raise: the pixels are good
        return 1
    return found if isinstance(found, int) and found in TURNS else 1


def _rgb(image: Image.Image, file: Path) -> Image.Image:
    """RGB of 8 bits.

    Raises:
        LesionliteError: numbers of a range that nothing tells.
    """
    tags: Any = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    bits, white_is_zero = tags.get(BITS, (16,))[0], tags.get(PHOTOMETRIC) == 0
    unsigned = set(tags.get(SAMPLE_FORMAT, ())) <= {1, 4}
    image.load()
    whole = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    if not unsigned or (image.mode in ("I", "F") and not whole):
        kind = "fractions" if image.mode == "F" else "whole numbers of 32 bits or with a sign"
        raise LesionliteError(
            f"{file} holds {kind}, and nothing in it says which are black and white; save it with "
            "8 or 16 bits for each channel, without sign"
        )
    if not whole:
        return image.convert("RGB")
    grey = (np.asarray(image) >> (bits - 8)).astype(np.uint8)  # Pillow's own way cuts off at 255
    return Image.fromarray(255 - grey if white_is_zero else grey).convert("RGB")


def to_input(
    image: "Image.Image | Pixels", contract: Contract, resampler: str | None = None
) -> Pixels:
    """Resize and crop one image as the contract says.

    Args:
        image: an RGB Pillow image, or uint8 [H, W, 3].
        contract: says how.
        resampler: key of `RESAMPLERS` to use instead of the contract's own.

    Returns:
        uint8 [S, S, 3], what every artifact takes.

    Raises:
        LesionliteError: an array of another kind, or an image so oblong that resizing it would
            take more memory than there may be.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise LesionliteError(
                f"an image must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}"
            )
        image = Image.fromarray(image)
    side, resample = contract.side, RESAMPLERS[resampler or resampler_of(contract)]
    if contract.resize == "squash":
        return np.array(resample(image, (side, side)))  # a copy: torch wants to own it
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
    """Decode and resize one file after another, `AHEAD` of them in advance on all cores.

    Args:
        files: images.
        contract: says how they are resized.
        resampler: key of `RESAMPLERS` to use instead of the contract's own.

    Yields:
        uint8 [S, S, 3] for each file.

    Raises:
        LesionliteError: naming the first file that cannot be decoded.
    """
    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes without holding the GIL
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
    """Decode and resize `files` to uint8 [N, S, S, 3]; progress is shown if there is a description.

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

    They are never in memory all at once.
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
        look: what to make of each, an RGB image.

    Returns:
        What was made of the ones that can be decoded, and what is wrong with the others.
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
    """Decode every file once; the ones that cannot be, with what is wrong."""
    return inspect(files, lambda image: None)[1]
