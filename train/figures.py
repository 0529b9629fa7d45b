"""The pictures of a run: curves, loss weights, confusion matrix, reliability."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.files import replacing
from lesionlite.metrics import Scores
from lesionlite.outputs import is_ours, remove
from lesionlite.train.objective.imbalance import ens_weights

MOST_CLASSES = 60  # with a row each, more are not readable; 1,000 took two minutes


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure of a size in inches, without a display or global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, file: Path) -> None:
    """Write a figure, all or nothing. Warnings about letters that the font lacks are hidden."""
    with replacing(file) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure.savefig(temporary)


def as_is(text: str) -> str:
    """Escape dollar signs, between which matplotlib would print a formula."""
    return text.replace("$", r"\$")


def _too_many(classes: int, file: Path) -> list[str]:
    """Why a picture of so many classes is not drawn; deletes an older one."""
    if classes <= MOST_CLASSES:
        return []
    if is_ours(file):
        remove(file)
    return [
        f"no {file.name}: {classes} classes do not fit into a picture (at most {MOST_CLASSES}); "
        "the tables have them all"
    ]


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
    figure.suptitle(as_is(note), fontsize=9)
    save_figure(figure, file)


def draw_confusion(scores: Scores, note: str, file: Path) -> list[str]:
    """Draw the confusion matrix, rows (true classes) normalized, counts written in.

    Args:
        scores: of the test set.
        note: a caveat to print under the title, or "".
        file: PNG to write.

    Returns:
        Why it is not drawn; [] if it is.
    """
    if missing := _too_many(len(scores.classes), file):
        return missing
    counts = np.array(scores.confusion)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    labels = [as_is(row.label) for row in scores.classes]
    size = 3 + 0.45 * len(labels)
    figure = new_figure(size, size * 0.9)
    axis = figure.subplots()
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axis.set_yticks(range(len(labels)), labels)
    axis.set(xlabel="predicted", ylabel="true")
    title = f"weighted F1 {scores.weighted_f1:.3f}, {scores.images} images\n{as_is(note)}"
    axis.set_title(title.strip())
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, counts[row, column], ha="center", va="center", color=colour)
    save_figure(figure, file)
    return []


def draw_weights(
    labels: Sequence[str], counts: Sequence[int], beta: float, file: Path
) -> list[str]:
    """Draw each class's weight in the loss: by effective number, beside inverse frequency.

    Both are scaled to an average of 1 over the classes that have images; classes in order of size.

    Args:
        labels: [C] names.
        counts: training images per class, [C].
        beta: of the Effective-Number-of-Samples weights.
        file: PNG to write.

    Returns:
        Why they are not drawn; [] if they are.
    """
    if missing := _too_many(len(labels), file):
        return missing
    order = sorted((i for i, n in enumerate(counts) if n), key=lambda i: counts[i])
    inverse = np.array([1 / counts[i] for i in order])
    weights = ens_weights(counts, beta)
    effective = np.array([weights[i] for i in order])
    places = np.arange(len(order))
    figure = new_figure(9, 1.6 + 0.36 * len(order))
    axis = figure.subplots()
    for values, shift, name in (
        (inverse / inverse.mean(), 0.2, "inverse frequency"),
        (effective, -0.2, f"effective number, β = {beta:g}"),
    ):
        bars = axis.barh(places + shift, values, height=0.4, label=name)
        axis.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axis.set_yticks(places, [f"{as_is(labels[i])} ({counts[i]:,})" for i in order])
    axis.margins(x=0.08)
    axis.set(xlabel="weight in the loss", title="Loss weights of the classes (training images)")
    axis.grid(axis="x", alpha=0.3)
    axis.legend(loc="upper right")
    save_figure(figure, file)
    return []


def draw_reliability(scores: Scores, note: str, file: Path) -> None:
    """Draw the accuracy and the number of answers at each confidence.

    Args:
        scores: of the test set.
        note: a caveat to print under the title, or "".
        file: PNG to write.
    """
    bins = scores.reliability
    confidence = [b.confidence for b in bins]
    figure = new_figure(6.4, 6.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot((0, 1), (0, 1), color="grey", linestyle="--", label="as sure as right")
    sizes = [
        max(4, 400 * b.images / scores.images) for b in bins
    ]  # the fewer answers, the smaller the dot
    above.plot(confidence, [b.accuracy for b in bins], label="answers (area: how many)")
    above.scatter(confidence, [b.accuracy for b in bins], s=sizes, zorder=3)
    above.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    error = f"calibration error {scores.calibration_error:.3f}, {scores.images} images"
    above.set_title(f"{error}\n{as_is(note)}".strip())
    above.legend()
    below.bar(confidence, [b.images for b in bins], width=0.05)
    below.set(xlabel="confidence of the answer", ylabel="images")
    for axis in (above, below):
        axis.grid(alpha=0.3)
    save_figure(figure, file)


def draw_heat(pixels: NDArray[np.uint8], heat: NDArray[np.float32], title: str, file: Path) -> None:
    """Draw an image, and beside it the same under a heat map.

    Args:
        pixels: [S, S, 3].
        heat: [S, S], from 0 to 1.
        title: to print above.
        file: PNG to write.
    """
    figure = new_figure(6, 3.3)
    plain, under = figure.subplots(1, 2)
    plain.imshow(pixels)
    under.imshow(pixels)
    under.imshow(heat, cmap="inferno", alpha=0.2 + 0.4 * heat, vmin=0, vmax=1)
    for axis in (plain, under):
        axis.set_axis_off()
    figure.suptitle(as_is(title))
    save_figure(figure, file)
