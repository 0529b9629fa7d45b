"""Metrics of classification: F1, accuracy, AUC, calibration, per-class scores, confusion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rich.table import Table

Floats = NDArray[np.floating[Any]]
Counts = NDArray[Any]
Metric = Literal["weighted_f1", "macro_f1", "balanced_accuracy"]
"""A score that can choose between networks."""


def in_words(score: str) -> str:
    """The name of a score for people: "weighted F1" for weighted_f1."""
    return score.replace("_f1", " F1").replace("_", " ")


@dataclass(frozen=True)
class ClassScore:
    """One row of the per-class table.

    Attributes:
        label: name of the class.
        precision: share of right answers among those of the class.
        recall: share of right answers among its images.
        f1: harmonic mean of both.
        support: number of its images.
        rejected: share of its images that are called another kind; None if nothing tells.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    rejected: float | None = None


@dataclass(frozen=True)
class Bin:
    """Images whose top-1 probabilities fall into one interval.

    Attributes:
        images: their number.
        confidence: mean top-1 probability.
        accuracy: share of right top-1 answers.
    """

    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Scores:
    """Scores of predictions against the truth.

    Attributes:
        images: number of images.
        weighted_f1: F1 per class, averaged by support.
        macro_f1: F1 per class, averaged over the classes that have images.
        accuracy: share of right answers.
        weighted_auc: one-vs-rest area under the ROC curve of the probabilities (the paper's code
            takes logits, which rank images otherwise), averaged by support over the classes
            that have images; None if only one class has.
        classes: one row per class, in the model's order.
        confusion: [C][C] counts, true class by predicted class.
        calibration_error: expected calibration error; see `calibration_error`.
        reliability: accuracy by confidence.
        domains: scores of each domain's images by name of the domain. If domains are easy to tell
            apart (dermoscopy, photographs), the score of all images is too optimistic.
        split: "train", "val" or "test" if the images are part of a data folder, else "".
        rejected: share of the images that are called another kind; None if nothing tells.
    """

    images: int
    weighted_f1: float
    macro_f1: float
    accuracy: float
    weighted_auc: float | None
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration_error: float
    reliability: tuple[Bin, ...]
    domains: "dict[str, Scores]"
    split: str = ""
    rejected: float | None = None


def weighted_f1(truth: NDArray[np.int64], answers: NDArray[np.int64], classes: int) -> float:
    """F1 per class averaged by support; a class that is never predicted has an F1 of 0."""
    return answer_scores(truth, answers, classes)["weighted_f1"]


def answer_scores(
    truth: NDArray[np.int64], answers: NDArray[np.int64], classes: int
) -> dict[str, float]:
    """The scores of `scores_of_counts` for class indices [N]."""
    confusion = np.bincount(truth * classes + answers, minlength=classes * classes)
    confusion = confusion.reshape(classes, classes)
    found = scores_of_counts(np.diag(confusion), confusion.sum(0), confusion.sum(1))
    return {name: float(value) for name, value in found.items()}


def scores_of_counts(hits: Counts, answered: Counts, support: Counts) -> dict[str, Floats]:
    """Scores [...] of counts per class [..., C]: right answers, answers, images of the class.

    weighted_f1 is averaged by support; macro_f1 and balanced_accuracy (the mean recall) over the
    classes that have images; accuracy is the share of right answers.
    """
    f1, present = f1_of_counts(hits, answered, support), support > 0
    return {
        "weighted_f1": weighted_f1_of_counts(hits, answered, support),
        "macro_f1": (f1 * present).sum(-1) / present.sum(-1),
        "balanced_accuracy": (hits / np.maximum(support, 1)).sum(-1) / present.sum(-1),
        "accuracy": hits.sum(-1) / support.sum(-1),
    }


def weighted_f1_of_counts(hits: Counts, answered: Counts, support: Counts) -> Floats:
    """Weighted F1 from counts per class [..., C]: right answers, answers, images of the class."""
    f1 = f1_of_counts(hits, answered, support)
    return np.asarray((f1 * support).sum(-1) / support.sum(-1))


def f1_of_counts(hits: Counts, answered: Counts, support: Counts) -> Floats:
    """F1 of each class [..., C]; see `weighted_f1_of_counts`."""
    return np.asarray(2 * hits / np.maximum(support + answered, 1))


def class_counts(
    truth: NDArray[np.int64], answers: NDArray[np.int64], drawn: Floats, classes: int
) -> tuple[Floats, Floats, Floats]:
    """Right answers, answers and images of each class, each [R, C].

    Args:
        truth: class indices, [N].
        answers: class indices, [N].
        drawn: how often each image occurs, [R, N].
        classes: C.
    """
    is_true, is_answer = (each[:, None] == np.arange(classes) for each in (truth, answers))
    return drawn @ (is_true & is_answer), drawn @ is_answer, drawn @ is_true


def score(
    probabilities: Floats,
    truth: NDArray[np.int64],
    labels: tuple[str, ...],
    domains: Mapping[str, Sequence[str]] | None = None,
    rejected: NDArray[np.bool_] | None = None,
) -> Scores:
    """Score predictions.

    Args:
        probabilities: [N, C].
        truth: class indices, [N].
        labels: [C] names.
        domains: classes by domain; each domain is also scored alone.
        rejected: whether each image is called another kind, [N], or None.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    answers = probabilities.argmax(1)
    indices = list(range(len(labels)))
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, answers, labels=indices, zero_division=0.0
    )
    present = support > 0
    lost: list[float | None] = [
        None if rejected is None or not present[index] else float(rejected[truth == index].mean())
        for index in indices
    ]
    bins = reliability(probabilities, truth)
    return Scores(
        images=len(truth),
        weighted_f1=float(np.average(f1, weights=support)),
        macro_f1=float(f1[present].mean()),
        accuracy=float((answers == truth).mean()),
        weighted_auc=_weighted_auc(probabilities, truth, present),
        classes=tuple(
            ClassScore(label, float(p), float(r), float(f), int(s), share)
            for label, p, r, f, s, share in zip(
                labels, precision, recall, f1, support, lost, strict=True
            )
        ),
        confusion=tuple(
            tuple(int(n) for n in row) for row in confusion_matrix(truth, answers, labels=indices)
        ),
        calibration_error=calibration_error(bins),
        reliability=bins,
        domains=_by_domain(probabilities, truth, labels, domains or {}, rejected),
        rejected=None if rejected is None else float(rejected.mean()),
    )


def _by_domain(
    probabilities: Floats,
    truth: NDArray[np.int64],
    labels: tuple[str, ...],
    domains: Mapping[str, Sequence[str]],
    rejected: NDArray[np.bool_] | None,
) -> dict[str, Scores]:
    """Scores of each domain that has some of the images, but not all."""
    of_domain = {
        name: np.isin(truth, [labels.index(c) for c in classes if c in labels])
        for name, classes in domains.items()
    }
    return {
        name: score(
            probabilities[here],
            truth[here],
            labels,
            rejected=None if rejected is None else rejected[here],
        )
        for name, here in of_domain.items()
        if 0 < here.sum() < len(here)
    }


def _weighted_auc(
    probabilities: Floats, truth: NDArray[np.int64], present: NDArray[np.bool_]
) -> float | None:
    """Skips classes without images, which scikit-learn's multi-class AUC refuses."""
    from sklearn.metrics import roc_auc_score

    if present.sum() < 2:
        return None
    classes = np.flatnonzero(present)
    areas = [roc_auc_score(truth == c, probabilities[:, c]) for c in classes]
    return float(np.average(areas, weights=[(truth == c).sum() for c in classes]))


def reliability(probabilities: Floats, truth: NDArray[np.int64], bins: int = 15) -> tuple[Bin, ...]:
    """Bins of equal width by confidence, without empty ones.

    Args:
        probabilities: [N, C].
        truth: class indices, [N].
        bins: number of bins.
    """
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == truth
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return tuple(
        Bin(int(here.sum()), float(confidence[here].mean()), float(right[here].mean()))
        for here in (place == b for b in np.unique(place))
    )


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """|accuracy - confidence| per bin, averaged by the bin's size (Guo et al. 2017, eq. 3)."""
    total = sum(b.images for b in bins)
    return sum(b.images * abs(b.accuracy - b.confidence) for b in bins) / total


def score_table(scores: Scores, title: str) -> "Table":
    """A terminal table of each class's precision, recall, F1 and support; totals come last."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="")
    for index, name in enumerate(("class", "precision", "recall", "F1", "images")):
        table.add_column(name, justify="right" if index else "left")
    for row in scores.classes:
        figures = [f"{value:.3f}" for value in (row.precision, row.recall, row.f1)]
        table.add_row(row.label, *(figures if row.support else ["", "", ""]), str(row.support))
    table.add_section()
    auc = "" if scores.weighted_auc is None else f"{scores.weighted_auc:.4f}"
    for name, value in (
        ("weighted F1", f"{scores.weighted_f1:.4f}"),
        *((f"weighted F1, {n}", f"{s.weighted_f1:.4f}") for n, s in scores.domains.items()),
        ("macro F1", f"{scores.macro_f1:.4f}"),
        ("accuracy", f"{scores.accuracy:.4f}"),
        ("weighted AUC", auc),
        ("calibration error", f"{scores.calibration_error:.4f}"),
        *([] if scores.rejected is None else [("called another kind", f"{scores.rejected:.1%}")]),
    ):
        table.add_row(name, "", "", value, "")
    return table
