"""Photos of the kinds that people have, and where a browser sees one otherwise than Python.

A difference is that of two inputs of the network, in steps of 8 bits. Where no bound is given, a
browser must see what Python sees, bit for bit.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lesionlite.train.data.synthetic import draw
from tests.train.data.test_color import DISPLAY_P3, profile

ORIENTATION = 0x0112  # EXIF's tag
WIDE, HIGH = 301, 211  # odd, so that the colours of a JPEG or AVIF end in half a block


@dataclass(frozen=True)
class Photo:
    """A file to make, and what browsers see in it.

    Attributes:
        save: writes the file.
        bounds: by browser, the largest difference from what Python sees; 0 for the others.
        instead: by browser, the photo that it sees in place of this one, with the same bound.
    """

    save: Callable[[Path], object]
    bounds: Mapping[str, int] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)


def pixels() -> "np.ndarray[Any, Any]":
    """A drawn lesion with a dark corner, so that no turn and no mirror image is like another."""
    image = Image.fromarray(np.asarray(draw(0, np.random.default_rng(3), 240), np.uint8))
    drawn = np.array(image.resize((WIDE, HIGH)))
    drawn[:60, :90] = (120, 40, 30)
    return drawn


PIXELS = pixels()
PHOTO = Image.fromarray(PIXELS)
GREY = PHOTO.convert("L")
ALPHA = np.full((HIGH, WIDE, 1), 255, np.uint8)
RIGHT = np.arange(WIDE)[:, None] >= WIDE // 2
HALF = np.where(RIGHT, 128, ALPHA).astype(np.uint8)
CLEAR = np.where(RIGHT, 0, ALPHA).astype(np.uint8)


def saved(image: Image.Image = PHOTO, **settings: Any) -> Callable[[Path], object]:
    return lambda path: image.save(path, **settings)


def turned(orientation: int, **settings: Any) -> Callable[[Path], object]:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return saved(exif=exif, **settings)


def with_alpha(alpha: "np.ndarray[Any, Any]") -> Callable[[Path], object]:
    return saved(Image.fromarray(np.concatenate([PIXELS, alpha], axis=2)))


def on_black(alpha: "np.ndarray[Any, Any]") -> Callable[[Path], object]:
    return saved(Image.fromarray(np.rint(PIXELS * (alpha / 255)).astype(np.uint8)))


def cmyk() -> Image.Image:
    """The photo in four inks, as much black as there can be."""
    lightest = PIXELS.max(2, keepdims=True)
    inks = 255 - PIXELS * (255 / np.maximum(lightest, 1))
    return Image.fromarray(np.dstack([np.rint(inks), 255 - lightest]).astype(np.uint8), "CMYK")


def in_16_bits(values: "np.ndarray[Any, Any]") -> Callable[[Path], object]:
    """A PNG of 16 bits, grey or RGB, which Pillow does not write; the lower 8 bits are noise."""
    noise = np.random.default_rng(4).integers(0, 256, values.shape)
    rows = (256 * values.astype(int) + noise).astype(">u2")
    kind = {1: 0, 3: 2}[values.shape[2]]
    parts = {
        b"IHDR": struct.pack(">2I5B", WIDE, HIGH, 16, kind, 0, 0, 0),
        b"IDAT": zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)),
        b"IEND": b"",
    }

    def save(path: Path) -> None:
        content = b"\x89PNG\r\n\x1a\n"
        for name, data in parts.items():
            check = struct.pack(">I", zlib.crc32(name + data))
            content += struct.pack(">I", len(data)) + name + data + check
        path.write_bytes(content)

    return save


def heic(path: Path) -> None:
    import pillow_heif

    pillow_heif.from_pillow(PHOTO).save(path)


LOSSLESS = {"lossless": True}
P3 = {"icc_profile": profile(DISPLAY_P3)}
EVERYWHERE = ("Chromium", "Firefox", "WebKitGTK")
# Pillow and WebKitGTK convert colours with LittleCMS. Chromium (skcms) and Firefox (qcms) round a
# few values the other way; one in fifty was measured.
ROUNDED = {"Chromium": 1, "Firefox": 1}
PHOTOS = {
    **{f"exif-{turn}.jpg": Photo(turned(turn, quality=90)) for turn in range(1, 9)},
    "progressive.jpg": Photo(saved(quality=90, progressive=True)),
    "colours-in-full.jpg": Photo(saved(quality=90, subsampling=0)),
    "large.jpg": Photo(saved(PHOTO.resize((1901, 1301)), quality=90)),  # read in three strips
    "tall.jpg": Photo(saved(PHOTO.resize((150, 326)), quality=90)),
    "plain.png": Photo(saved()),
    "plain.webp": Photo(saved(**LOSSLESS)),
    "lossy.webp": Photo(saved(quality=90)),
    # This AVIF keeps one colour for four pixels, as most JPEGs do. Firefox spreads it in another
    # way than Pillow and the other browsers; where each pixel has its colour, nothing differs.
    "plain.avif": Photo(saved(quality=90), {"Firefox": 4}),
    "palette.png": Photo(saved(PHOTO.quantize(64))),
    "grey.jpg": Photo(saved(GREY, quality=90)),
    "grey.png": Photo(saved(GREY)),
    "p3.jpg": Photo(saved(quality=90, **P3), ROUNDED),
    "p3-exif-6.jpg": Photo(turned(6, quality=90, **P3), ROUNDED),  # as an iPhone's
    "p3.png": Photo(saved(**P3), ROUNDED),
    # WebKitGTK 2.50 ignores a WebP's profile.
    "p3.webp": Photo(saved(**LOSSLESS, **P3), ROUNDED, {"WebKitGTK": "plain.webp"}),
    # Browsers cut ink times black to 8 bits, and Pillow rounds it: a step before the resizing.
    "cmyk.jpg": Photo(saved(cmyk(), quality=90), dict.fromkeys(EVERYWHERE, 2)),
    # Pillow, Chromium and WebKitGTK cut 16 bits to the upper 8, and Firefox rounds them: a step
    # before the resizing.
    "16-bit.png": Photo(in_16_bits(PIXELS), {"Firefox": 2}),
    "16-bit-grey.png": Photo(in_16_bits(np.asarray(GREY)[:, :, None]), {"Firefox": 2}),
    # Python leaves the alpha out, and a canvas multiplies the colours by it. WebKitGTK divides them
    # again, which brings back all colours but those that are transparent altogether.
    "opaque.png": Photo(with_alpha(ALPHA)),
    "half.png": Photo(
        with_alpha(HALF),
        {"Firefox": 2, "WebKitGTK": 3},
        dict.fromkeys(("Chromium", "Firefox"), "half-on-black.png"),
    ),
    "half-on-black.png": Photo(on_black(HALF)),
    "clear.png": Photo(with_alpha(CLEAR), {}, dict.fromkeys(EVERYWHERE, "clear-on-black.png")),
    "clear-on-black.png": Photo(on_black(CLEAR)),
    # Pillow turns what has EXIF. Chromium and Firefox do not turn a WebP, and WebKitGTK 2.50 turns
    # nothing but a JPEG.
    "exif-6.png": Photo(turned(6), {}, {"WebKitGTK": "plain.png"}),
    "exif-6.webp": Photo(turned(6, **LOSSLESS), {}, dict.fromkeys(EVERYWHERE, "plain.webp")),
    "exif-6.avif": Photo(turned(6, quality=90), {"Firefox": 4}, {"WebKitGTK": "plain.avif"}),
}
UNKNOWN = {"photo.tiff": saved(), "photo.heic": heic}  # kinds that none of the browsers decodes
