"""Decode once: keep resized pixels in a memory-mapped file until an image changes."""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lesionlite.caching import cache_folder, unused
from lesionlite.console import say
from lesionlite.contract import Contract
from lesionlite.documents import read_json
from lesionlite.files import fingerprint, sha256_file, size_bytes, write_json
from lesionlite.train.data.images import DECODING, Pixels, decode, write_inputs

MARGIN = 1.15  # least ratio to the network's input, because crops are enlarged again
DAYS = 30


def cached_pixels(files: Sequence[Path], contract: Contract) -> Pixels:
    """The images as squares of about `MARGIN` times the contract's side, from the cache or new.

    Args:
        files: images, in order.
        contract: resizes the whole image to the square (`squash`), or cuts its centre out.

    Returns:
        uint8 [N, M, M, 3], memory-mapped.

    Raises:
        LesionliteError: naming the first file that cannot be decoded.
    """
    large = enlarged(contract)
    stats = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    made = [DECODING, large.resize, large.side, large.interpolation, large.antialias]
    key = fingerprint([stats, *made])[:24]
    file = cache_folder() / f"pixels-{key}.npy"
    seal = file.with_suffix(".json")
    if not (file.is_file() and read_json(seal) == {"sha256": sha256_file(file)}):
        write_inputs(file, decode(files, large), len(files), "decoding once", ours=True)
        write_json(seal, {"sha256": sha256_file(file)}, ours=True)
        say(f"decoded pixels: {file} ({size_bytes(file) / 1e9:.1f} GB; may be deleted)")
        _forget_old(file.parent)
    os.utime(file)
    pixels: Pixels = np.load(file, mmap_mode="r")
    return pixels


def enlarged(contract: Contract) -> Contract:
    """The contract of images before they are augmented: squares, a little larger."""
    side = 32 * math.ceil(MARGIN * contract.side / 32)
    return replace(contract, side=side, resize_side=side)


def _forget_old(folder: Path) -> None:
    """Delete files that no training has used for `DAYS`."""
    for file in unused(folder, "pixels-*.npy", DAYS):
        file.unlink()
        file.with_suffix(".json").unlink(missing_ok=True)
