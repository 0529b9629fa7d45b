from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lesionlite.benchmark.resize import JPEG, Drift, resized, resizers, verdicts
from lesionlite.contract import Contract
from lesionlite.train.data.images import load_inputs
from lesionlite.train.data.resample import RESAMPLERS, resampler_of

CONTRACT = Contract(("a", "b"), side=32)
NONE = np.empty((0, 32, 32, 3), np.uint8)  # only JPEG asks for the pixels


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A chequered image of 128 pixels, and a smooth one."""
    board = np.indices((128, 128)).sum(0) % 2 * 255
    slope = np.linspace(0, 255, 128)[None].repeat(128, 0)
    for name, grey in (("board", board), ("slope", slope)):
        Image.fromarray(np.stack([grey.astype(np.uint8)] * 3, -1)).save(tmp_path / f"{name}.png")
    return [tmp_path / "board.png", tmp_path / "slope.png"]


def test_all_but_the_contracts_own() -> None:
    assert len(resizers(CONTRACT)) == len(RESAMPLERS) and "bilinear" not in resizers(CONTRACT)
    plain = Contract(("a", "b"), side=32, antialias=False)
    assert resampler_of(plain) == "bilinear, no antialias"
    assert {"bilinear", JPEG} < set(resizers(plain))
    assert (
        resampler_of(Contract(("a", "b"), side=32, interpolation="area", antialias=False)) == "area"
    )


@pytest.mark.parametrize("name", [*RESAMPLERS, JPEG])
def test_each_is_what_it_says(files: list[Path], name: str) -> None:
    board, slope = resized(files, CONTRACT, name, load_inputs(files, CONTRACT))
    assert board.shape == (32, 32, 3) and board.dtype == np.uint8
    expected = np.linspace(0, 255, 128).reshape(32, 4).mean(1)
    off = np.abs(slope[16, 2:-2, 0] - expected[2:-2]).max()
    assert off <= (4 if name in ("nearest", JPEG) else 1)
    grey = np.abs(board[4:-4, 4:-4].astype(int) - 128).max() < 3
    assert grey == (name != "nearest")


def test_without_antialias_fine_detail_is_aliased(tmp_path: Path) -> None:
    stripes = (np.arange(160) % 5 == 2) * 255  # every fifth column, at 1/5 of the size
    image = np.stack([np.tile(stripes, (160, 1)).astype(np.uint8)] * 3, -1)
    Image.fromarray(image).save(tmp_path / "stripes.png")
    means = {
        name: next(iter(resized([tmp_path / "stripes.png"], CONTRACT, name, NONE))).mean()
        for name in ("area", "bilinear, no antialias", "bicubic, no antialias")
    }
    assert means["area"] == pytest.approx(51, abs=1)
    assert means["bilinear, no antialias"] == means["bicubic, no antialias"] == 255


def test_the_contracts_own_is_honoured(files: list[Path]) -> None:
    plain = Contract(("a", "b"), side=32, interpolation="bicubic", antialias=False)
    np.testing.assert_array_equal(
        load_inputs(files, plain), list(resized(files, CONTRACT, "bicubic, no antialias", NONE))
    )


def test_one_artifact_that_loses_too_much_is_enough() -> None:
    rows = [Drift("a", "nearest", -0.02, 0.9), Drift("b", "nearest", 0.01, 0.9)]
    rows += [Drift("a", "area", -0.01, 0.9), Drift("b", "area", -0.002, 0.9)]
    assert verdicts(rows) == {"nearest": False, "area": True}
