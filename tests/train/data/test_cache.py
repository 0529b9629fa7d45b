import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lesionlite.contract import Contract
from lesionlite.train.data import cache
from lesionlite.train.data.cache import DAYS, cached_pixels
from lesionlite.train.data.images import load_inputs

CONTRACT = Contract(("a", "b"), side=64)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    generator = np.random.default_rng(0)
    for name in "abc":
        pixels = generator.integers(0, 256, (90, 120, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return sorted(tmp_path.glob("*.png"))


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("*.npy"))


def test_pixels_are_decoded_once(files: list[Path], tmp_path: Path) -> None:
    first = cached_pixels(files, CONTRACT)
    expected = load_inputs(files, Contract(("a", "b"), side=first.shape[1]))
    np.testing.assert_array_equal(first, expected)
    assert first.shape[1] > CONTRACT.side
    (file,) = kept(tmp_path)
    written = file.stat().st_ino
    cached_pixels(files, CONTRACT)
    assert file.stat().st_ino == written


def test_a_changed_image_or_a_damaged_cache_is_decoded_anew(
    files: list[Path], tmp_path: Path
) -> None:
    before = np.array(cached_pixels(files, CONTRACT))
    (file,) = kept(tmp_path)
    with file.open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x00" if before[-1, -1, -1, -1] else b"\x01")
    np.testing.assert_array_equal(cached_pixels(files, CONTRACT), before)
    Image.new("RGB", (90, 120), (9, 8, 7)).save(files[0])
    os.utime(files[0], (1, 1))
    after = cached_pixels(files, CONTRACT)
    assert (after[0] == (9, 8, 7)).all()
    np.testing.assert_array_equal(after[1:], before[1:])


def test_what_nobody_used_for_long_is_deleted(files: list[Path], tmp_path: Path) -> None:
    cached_pixels(files[:1], CONTRACT)
    (old,) = kept(tmp_path)
    long_ago = time.time() - (DAYS + 1) * 86400
    os.utime(old, (long_ago, long_ago))
    cached_pixels(files, CONTRACT)
    assert len(kept(tmp_path)) == 1 and not old.exists()
