from pathlib import Path

import numpy as np
import pytest

from lesionlite.errors import LesionliteError
from lesionlite.train.data.prepare import CLASSES
from lesionlite.train.data.splits import read_dataset
from lesionlite.train.data.synthetic import DRAWN, NOTE, counts, draw, draw_dataset


def test_the_same_seed_draws_the_same_pixels() -> None:
    def image(seed: int) -> bytes:
        return draw(3, np.random.default_rng(seed)).tobytes()

    assert image(1) == image(1) != image(2)


def test_counts_have_a_long_tail() -> None:
    numbers = counts(2400)
    assert abs(sum(numbers) - 2400) < 30
    assert 8 < max(numbers) / min(numbers) < 16
    assert len(numbers) == len(DRAWN) == len(CLASSES)


def test_the_folder_is_marked_and_drawn_once(drawn: Path) -> None:
    dataset = read_dataset(drawn)
    assert dataset.note == NOTE and dataset.labels == CLASSES
    assert dataset.test is not None and min(dataset.test.counts()) >= 2
    before = {file: file.stat().st_mtime_ns for file in drawn.rglob("*.png")}
    assert draw_dataset(drawn, images=350) == drawn
    assert before == {file: file.stat().st_mtime_ns for file in drawn.rglob("*.png")}
    with pytest.raises(LesionliteError, match="holds other images"):
        draw_dataset(drawn, images=400)
