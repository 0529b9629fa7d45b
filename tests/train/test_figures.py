"""Pictures of any number of classes with any names."""

import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lesionlite.errors import LesionliteError
from lesionlite.layout import METRICS
from lesionlite.metrics import score
from lesionlite.outputs import writing_into
from lesionlite.train.figures import (
    MOST_CLASSES,
    draw_confusion,
    draw_curves,
    draw_heat,
    draw_reliability,
    draw_weights,
)
from lesionlite.train.history import read_history, write_history

NAMES = (r"$\frac", "$x$", "a_b^c", "\u75c5", "\\", "$", "x" * 200)
ROW = {"epoch": 1, "train_loss": 1.0, "val_loss": None, "weighted_f1": 0.5, "accuracy": 0.5}


@pytest.mark.parametrize("name", NAMES)
def test_no_name_stops_a_picture(name: str, tmp_path: Path) -> None:
    labels = (name, "b")
    scores = score(np.eye(2), np.arange(2), labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_curves([ROW], name, tmp_path / "1.png")
        assert draw_confusion(scores, name, tmp_path / "2.png") == []
        assert draw_weights(labels, (3, 4), 0.9, tmp_path / "3.png") == []
        draw_reliability(scores, name, tmp_path / "4.png")
        heat = np.zeros((8, 8), np.float32)
        draw_heat(np.zeros((8, 8, 3), np.uint8), heat, name, tmp_path / "5.png")
    for number in range(1, 6):
        Image.open(tmp_path / f"{number}.png").verify()


def test_more_classes_than_a_picture_can_show_are_said(tmp_path: Path) -> None:
    labels = tuple(f"c{n}" for n in range(1000))
    scores = score(np.eye(1000), np.arange(1000), labels)
    started = time.monotonic()
    with writing_into(tmp_path / "out"):
        picture = tmp_path / "out" / "confusion.png"
        draw_confusion(score(np.eye(2), np.arange(2), ("a", "b")), "", picture)
        assert picture.exists()
        (said,) = draw_confusion(scores, "", picture)
        assert not picture.exists()  # it would be of other scores
        picture.write_text("the user's")
        (tmp_path / "out" / ".lesionlite").unlink()
    with writing_into(tmp_path / "out"):
        draw_confusion(scores, "", picture)
        assert picture.read_text() == "the user's"
    assert said == (
        "no confusion.png: 1000 classes do not fit into a picture (at most 60); the tables have "
        "them all"
    )
    (said,) = draw_weights(labels, [1] * 1000, 0.9, tmp_path / "weights.png")
    assert "no weights.png: 1000 classes" in said and time.monotonic() - started < 20
    some = labels[:MOST_CLASSES]
    assert draw_weights(some, [1] * MOST_CLASSES, 0.9, tmp_path / "weights.png") == []


def test_history_is_read_line_by_line(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []
    write_history(tmp_path, [ROW, {**ROW, "epoch": 2, "val_loss": float("nan"), "lr": 0.1}])
    assert read_history(tmp_path) == [ROW, {**ROW, "epoch": 2, "lr": 0.1}]
    for text, said in (
        ('{"epoch": 1}\n', "line 1: accuracy is missing|line 1: .* is missing"),
        (f"{(tmp_path / METRICS).read_text()}[]\n", "line 3: it is a list"),
        ("{", "line 1 is damaged"),
        ('{"epoch": NaN}', "line 1 is damaged.*NaN"),
    ):
        (tmp_path / METRICS).write_text(text)
        with pytest.raises(LesionliteError, match=said):
            read_history(tmp_path)
