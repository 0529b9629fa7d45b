"""The pictures of a run: its curves and its confusion matrix."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.files import replacing
from train.metrics import Scores


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure of so many inches, without a display or global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    return figure


def draw_curves(history: Sequence[Mapping[str, Any]], note: str, file: Path) -> None:
    """Draw loss, and accuracy and weighted F1 on validation, by epoch.

    Args:
        history: the rows of `metrics.jsonl`.
        note: a caveat to print under the title, or "".
        file: PNG to write.
    """
    figure = new_figure(9, 3.6)
    loss, scores = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    loss.plot(epochs, [row["train_loss"] for row in history], marker=".", label="training")
    loss.plot(epochs, [row["val_loss"] for row in history], marker=".", label="validation")
    loss.set(xlabel="epoch", ylabel="loss")
    for key, label in (("weighted_f1", "weighted F1"), ("accuracy", "accuracy")):
        scores.plot(epochs, [row[key] for row in history], marker=".", label=label)
    scores.set(xlabel="epoch", ylabel="on validation", ylim=(0, 1))
    for axis in (loss, scores):
        axis.legend()
        axis.grid(alpha=0.3)
        axis.xaxis.get_major_locator().set_params(integer=True)
    figure.suptitle(note, fontsize=9)
    with replacing(file) as temporary:
        figure.savefig(temporary)


def draw_confusion(scores: Scores, note: str, file: Path) -> None:
    """Draw the confusion matrix, rows (true classes) normalized, counts written in.

    Args:
        scores: of the test set.
        note: a caveat to print under the title, or "".
        file: PNG to write.
    """
    counts = np.array(scores.confusion)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    labels = [row.label for row in scores.classes]
    size = 3 + 0.45 * len(labels)
    figure = new_figure(size, size * 0.9)
    axis = figure.subplots()
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axis.set_yticks(range(len(labels)), labels)
    axis.set(xlabel="predicted", ylabel="true")
    axis.set_title(f"weighted F1 {scores.weighted_f1:.3f}, {scores.images} images\n{note}".strip())
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, counts[row, column], ha="center", va="center", color=colour)
    with replacing(file) as temporary:
        figure.savefig(temporary)
