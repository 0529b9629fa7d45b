"""Decode image files to upright 8-bit sRGB."""

import os
import re
import stat
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from lesionlite.errors import LesionliteError
from lesionlite.train.data.color import to_srgb
from lesionlite.train.data.folders import refuse_unreadable_name

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
EXIF_HEAD = re.compile(
    rb"(II\*\0\x08\0\0\0|MM\0\*\0\0\0\x08)..", re.DOTALL
)  # and the number of tags


def open_image(file: Path) -> Image.Image:
    """Decode an image to 8-bit sRGB, turned upright according to its EXIF orientation.

    16-bit grey keeps its upper 8 bits, as Pillow does for 16-bit RGB. An ICC profile is applied.
    Invalid EXIF is ignored. Of several frames or pages, the first one is read.

    Raises:
        LesionliteError: the file is missing, not a regular file, damaged, or no image; or nothing
            in it tells which values are black and white.
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
    except Exception as error:  # decoders raise anything: RuntimeError, TypeError, struct.error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LesionliteError(f"{file} cannot be decoded as an image ({reason})") from error


def _refuse_irregular(file: Path) -> None:
    """Refuse what is no regular file; reading a pipe might never end."""
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
    """Like `Image.open`, but also opens HEIC, and AVIF with invalid EXIF."""
    try:
        return Image.open(file)
    except UnidentifiedImageError:
        with file.open("rb") as stream:
            head = stream.read(12)
        if head[4:] in (b"ftypavif", b"ftypavis"):
            return Image.open(BytesIO(EXIF_HEAD.sub(rb"\1\0\0", file.read_bytes())))
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
    """EXIF orientation from 1 to 8; 1 if it is missing or unreadable."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # Pillow raises anything for a damaged block; the pixels are good
        return 1
    return found if isinstance(found, int) and found in TURNS else 1


def _rgb(image: Image.Image, file: Path) -> Image.Image:
    """Convert to 8-bit RGB, in sRGB.

    Raises:
        LesionliteError: the range of the values is unknown.
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
        return to_srgb(image)
    grey = (np.asarray(image) >> (bits - 8)).astype(np.uint8)  # Pillow would clip at 255
    reduced = Image.fromarray(255 - grey if white_is_zero else grey)
    reduced.info = image.info
    return to_srgb(reduced)
