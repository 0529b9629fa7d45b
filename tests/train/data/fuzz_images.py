"""Damaged images of every suffix that is read: `open_image` decodes them or says a sentence.

`python -m tests.train.data.fuzz_images --inputs 100000` prints what came of them. A seed and a
number name an input: with these it is made again.
"""

import argparse
import random
import struct
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, features

from lesionlite.errors import LesionliteError
from lesionlite.train.data.decoding import open_image
from lesionlite.train.data.folders import IMAGE_SUFFIXES

ORIENTATION = ExifTags.Base.Orientation
PLAIN_TAGS = sorted(tag for tag in ExifTags.TAGS if tag < 1 << 16)
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
"""Bytes of a value of each of TIFF's types."""
KINDS: dict[str, list[tuple[str, str, dict[str, Any]]]] = {  # by suffix: mode, format, how to save
    ".jpg": [("RGB", "JPEG", {}), ("CMYK", "JPEG", {}), ("L", "JPEG", {"progressive": True})],
    ".png": [("RGB", "PNG", {}), ("I;16", "PNG", {}), ("P", "PNG", {"transparency": 1})]
    + [("1", "PNG", {}), ("RGBA", "PNG", {})],
    ".bmp": [("RGB", "BMP", {}), ("P", "BMP", {})],
    ".gif": [("P", "GIF", {}), ("P", "GIF", {"save_all": True})],
    ".webp": [("RGB", "WEBP", {}), ("RGBA", "WEBP", {"lossless": True})],
    ".tif": [("RGB", "TIFF", {"compression": how}) for how in (None, "tiff_lzw", "jpeg")]
    + [("I;16", "TIFF", {}), ("F", "TIFF", {}), ("1", "TIFF", {"compression": "group4"})],
    ".avif": [("RGB", "AVIF", {})] if features.check("avif") else [],
    ".heic": [("RGB", "HEIF", {})],
}
ALIASES = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif", ".heif": ".heic"}


def whole_images() -> dict[str, list[bytes]]:
    """Good images by suffix, each kind with EXIF (an orientation and some more) and without."""
    try:
        from pillow_heif import register_heif_opener

        register_heif_opener()
    except ImportError:
        pass
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION], exif[ExifTags.Base.Make], exif[ExifTags.Base.XResolution] = 6, "x", 72.0
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.5
    made: dict[str, list[bytes]] = {}
    for suffix, kinds in KINDS.items():
        for mode, name, how in kinds:
            grey = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
            image = grey if mode == "I;16" else Image.fromarray(pixels).convert(mode)
            more = {"append_images": [image.rotate(180)]} if how.get("save_all") else {}
            with_exif: list[dict[str, Any]] = [] if name in ("BMP", "GIF") else [{"exif": exif}]
            for given in ({}, *with_exif):
                stream = BytesIO()
                try:
                    image.save(stream, name, **how, **more, **given)
                except (KeyError, OSError, RuntimeError) as error:
                    if name != "HEIF":  # without the extra, or without an encoder
                        raise AssertionError(f"{mode} {name} {how}") from error
                    continue
                made.setdefault(suffix, []).append(stream.getvalue())
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(400)
    made.setdefault(".heic", [heic])
    for alias, suffix in ALIASES.items():
        made[alias] = made[suffix]
    missing = set(IMAGE_SUFFIXES) - made.keys()
    assert not missing, f"no image of {missing}"
    return made


def mutated(rng: random.Random, image: bytes) -> bytes:
    """One to four damages, half of them near the beginning, where formats have their headers."""
    data = bytearray(image)
    for _ in range(rng.randint(1, 4)):
        end = max(len(data), 1)
        at = rng.randrange(min(end, 200) if rng.random() < 0.5 else end)
        exif = data.find(b"Exif\0\0")
        if exif >= 0 and rng.random() < 0.3:
            at = rng.randrange(exif, min(exif + 150, end))
        damage = rng.randrange(7)
        if damage == 0:
            del data[at:]
        elif damage == 1:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif damage == 2:
            data[at : at + 1] = bytes([data[at] ^ 1 << rng.randrange(8)]) if data else b""
        elif damage == 3:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 30)))
        elif damage == 4:
            del data[at : at + rng.choice((1, 2, 4, 30))]
        elif damage == 5:
            number = rng.choice((0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, rng.getrandbits(32)))
            data[at : at + 4] = struct.pack(rng.choice("<>") + "I", number)
        else:
            data[at : at + 8] = data[(start := rng.randrange(end)) : start + 8]
    return with_checksums(bytes(data)) if rng.random() < 0.7 else bytes(data)


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks' checksums are right again, so that damage gets further than these."""
    signature = b"\x89PNG\r\n\x1a\n"
    if not data.startswith(signature):
        return data
    made, at = bytearray(signature), len(signature)
    while at + 12 <= len(data):
        length = min(int.from_bytes(data[at : at + 4], "big"), len(data) - at - 12)
        chunk = data[at + 4 : at + 8 + length]
        made += struct.pack(">I", length) + chunk + struct.pack(">I", zlib.crc32(chunk))
        at += 12 + length
    return bytes(made)


def odd_exif(rng: random.Random) -> tuple[int, bytes]:
    """An orientation, and EXIF that has it and one more tag of a drawn type, count and value."""
    order, orientation = rng.choice("<>"), rng.randint(1, 8)
    nested = [0x8769, 0x8825, 0xA005, 0x927C, 0x014A, 0x0128, 0x011A, 0x011B]
    tag = rng.choice(nested if rng.random() < 0.4 else PLAIN_TAGS)
    kind, count = rng.choice(sorted(SIZES)), rng.choice((0, 1, 1, 2, 3, 5, 70_000))
    value = rng.randbytes(min(SIZES[kind] * count, 200))
    rows = [(int(ORIENTATION), 3, 1, struct.pack(order + "HH", orientation, 0))]
    rows += [(tag, kind, count, value)] if tag != ORIENTATION else []
    after, body, table = 8 + 2 + 12 * len(rows) + 4, b"", b""
    for tag_, kind_, count_, value_ in sorted(rows):
        here = value_.ljust(4, b"\0")
        if len(value_) > 4:
            here = struct.pack(order + "I", after + len(body))
            body += value_
        table += struct.pack(order + "HHI", tag_, kind_, count_) + here
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    number = struct.pack(order + "H", len(rows))
    return orientation, b"Exif\0\0" + head + number + table + bytes(4) + body


def inputs(number: int, seed: int) -> Iterator[tuple[int, str, bytes]]:
    """Number, suffix and bytes of each damaged image; each one depends on its number alone."""
    whole = whole_images()
    suffixes = sorted(whole)
    for index in range(number):
        rng = random.Random(f"{seed}/{index}")
        suffix = suffixes[index % len(suffixes)]
        yield index, suffix, mutated(rng, rng.choice(whole[suffix]))


def fuzz(number: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Open damaged images; how many of each kind came to what, and the failures."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for index, suffix, data in inputs(number, seed):
            file = Path(folder, f"x{suffix}")
            file.write_bytes(data)
            start = time.process_time()
            try:
                image = open_image(file)
                assert image.mode == "RGB" and min(image.size) > 0
                counts[f"{suffix} decoded"] += 1
            except LesionliteError as error:
                assert "\n" not in str(error) and str(file) in str(error)
                counts[f"{suffix} refused"] += 1
            except Exception as error:
                failures.append(f"seed {seed}, input {index} ({suffix}): {error!r}")
            if time.process_time() - start > 10:
                failures.append(f"seed {seed}, input {index} ({suffix}): took over ten seconds")
    return counts, failures


def fuzz_exif(number: int, seed: int) -> list[str]:
    """Good photographs with odd EXIF that were not decoded, or not turned as they say."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8))
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(number):
            orientation, exif = odd_exif(random.Random(f"{seed}/{index}"))
            suffix, name = ((".jpg", "JPEG"), (".png", "PNG"), (".webp", "WEBP"))[index % 3]
            file = Path(folder, f"x{suffix}")
            image.save(file, name, exif=exif)
            where = f"seed {seed}, EXIF {index} ({suffix})"
            try:
                if open_image(file).size != ((24, 16) if orientation < 5 else (16, 24)):
                    failures.append(f"{where}: not upright")
            except Exception as error:
                failures.append(f"{where}: {error!r}")
    return failures


def main() -> int:
    """Fuzz, and print the counts; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--exif", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    counts, failures = fuzz(given.inputs, given.seed)
    for name, number in sorted(counts.items()):
        print(f"{name}: {number}")
    failures += fuzz_exif(given.exif, given.seed)
    print(f"{given.inputs} damaged images, {given.exif} with odd EXIF: {len(failures)} failures")
    for failure in failures:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
