"""What an operating point gives on validation images, and which one to take."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.metrics import Floats, class_counts, in_words, scores_of_counts
from lesionlite.settings import numbers_by_label
from lesionlite.train.calibrate.confidence import fit_temperature
from lesionlite.train.data.splits import Split

TAUS = tuple(step / 20 for step in range(-20, 31))
"""-1, which doubles training's preference for rare classes, to 1.5."""
RESAMPLES = 400
Indices = NDArray[np.int64]
SCORES_SHOWN = ("weighted_f1", "macro_f1", "balanced_accuracy", "accuracy")


@dataclass(frozen=True)
class Answers:
    """What a network computes for labelled images.

    Attributes:
        logits: float32 [N, C].
        truth: class indices, int64 [N].
        labels: [C].
    """

    logits: NDArray[np.float32]
    truth: NDArray[np.int64]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class OperatingPoint:
    """What one tau gives on the validation images.

    Attributes:
        tau: how far it is from training's prior (0) to the target (1).
        weighted_f1: F1 per class, averaged by support.
        macro_f1: F1 per class, averaged over the classes that have images.
        balanced_accuracy: recall per class, averaged over the classes that have images.
        accuracy: share of right answers.
        recall: of each class that has images, by label.
    """

    tau: float
    weighted_f1: float
    macro_f1: float
    balanced_accuracy: float
    accuracy: float
    recall: dict[str, float]


def table_of(
    points: Sequence[OperatingPoint],
    chosen: OperatingPoint,
    floors: Iterable[str],
    mark: Callable[[str], str],
) -> tuple[list[str], list[tuple[str, ...]]]:
    """Columns and rows of about ten operating points and of the one that was taken.

    Args:
        points: by rising tau.
        chosen: the one that was taken.
        floors: labels of the classes whose recall is shown.
        mark: what marks the tau of `chosen`.
    """
    labels = list(floors)
    columns = ["tau", *map(in_words, SCORES_SHOWN), *(f"recall, {label}" for label in labels)]
    shown = {point.tau: point for point in (*points[:: max(1, len(points) // 10)], chosen)}
    rows = []
    for tau, point in sorted(shown.items()):
        scores = [getattr(point, name) for name in SCORES_SHOWN]
        values = (*scores, *(point.recall[label] for label in labels))
        name = mark(f"{tau:g}") if tau == chosen.tau else f"{tau:g}"
        rows.append((name, *(f"{value:.3f}" for value in values)))
    return columns, rows


def read_floors(pairs: Sequence[str], split: Split) -> dict[str, float]:
    """Parse LABEL=RECALL.

    Raises:
        LesionliteError: it is not of that form, or the class has no validation images.
    """
    floors = numbers_by_label("min_recall", pairs, "RECALL", (0, 1), "Melanoma=0.6")
    have = [label for label, n in zip(split.labels, split.counts(), strict=True) if n]
    for label in floors:
        if label not in have:
            raise unknown_choice("class with validation images", label, have)
    return floors


def curve(answers: Answers, direction: Floats) -> "Curve":
    """The operating points of all `TAUS`.

    Args:
        answers: on validation images.
        direction: log(target / prior) [C].
    """
    predicted = np.stack([predictions(answers, direction, tau) for tau in TAUS])
    points = (operating_point(answers, *both) for both in zip(TAUS, predicted, strict=True))
    return Curve(tuple(points), predicted, answers)


def predictions(answers: Answers, direction: Floats, tau: float) -> Indices:
    """The likeliest class of each image [N] at one tau, with the temperature that fits it."""
    shift = tau * direction
    temperature = fit_temperature(answers.logits, answers.truth, shift)
    predicted: Indices = (answers.logits / temperature + shift).argmax(1)
    return predicted


def operating_point(answers: Answers, tau: float, predicted: Indices) -> OperatingPoint:
    """The scores of predictions [N]."""
    once = np.ones((1, len(predicted)))
    counts = class_counts(answers.truth, predicted, once, len(answers.labels))
    scores = {name: float(value[0]) for name, value in scores_of_counts(*counts).items()}
    hits, _, support = (each[0] for each in counts)
    recall = {
        label: float(h / n) for label, h, n in zip(answers.labels, hits, support, strict=True) if n
    }
    return OperatingPoint(tau, **scores, recall=recall)


@dataclass(frozen=True)
class Curve:
    """The operating points of a run.

    Attributes:
        points: by rising tau.
        predicted: class indices, int64 [points, N].
        answers: what they come from.
    """

    points: tuple[OperatingPoint, ...]
    predicted: Indices
    answers: Answers

    def choose(self, metric: str, floors: Mapping[str, float]) -> OperatingPoint:
        """The operating point nearest to tau 0 that scores as well as the best, and keeps floors.

        "As well" means within one standard error of the difference on these images (Breiman et al.
        1984, section 3.4.3). The best of many is the best by chance, too: without this rule, one of
        seven networks lost 0.017 weighted F1 on test images by an adjustment that it did not need.

        Raises:
            LesionliteError: no point keeps the floors; it names the one that comes nearest.
        """
        kept = [
            index
            for index, point in enumerate(self.points)
            if all(point.recall[name] >= floor for name, floor in floors.items())
        ]
        if not kept:
            raise LesionliteError(_nothing_keeps(self.points, floors))
        score = [getattr(point, metric) for point in self.points]
        best = max(kept, key=lambda index: score[index])
        generator, images = np.random.default_rng(0), len(self.answers.truth)
        drawn = generator.multinomial(images, [1 / images] * images, RESAMPLES).astype(np.float64)

        def resampled(index: int) -> Floats:
            classes = len(self.answers.labels)
            counts = class_counts(self.answers.truth, self.predicted[index], drawn, classes)
            return scores_of_counts(*counts)[metric]

        reference = resampled(best)
        good = [i for i in kept if score[best] - score[i] <= (reference - resampled(i)).std()]
        return min((self.points[index] for index in good), key=lambda point: abs(point.tau))


def _nothing_keeps(points: Sequence[OperatingPoint], floors: Mapping[str, float]) -> str:
    nearest = max(points, key=lambda p: min(p.recall[name] - floors[name] for name in floors))
    reached = ", ".join(f"{name}={nearest.recall[name]:.3f}" for name in floors)
    asked = ", ".join(f"{name}={floor}" for name, floor in floors.items())
    return (
        f"no operating point keeps --min-recall {asked} on the validation images; the nearest has "
        f"{reached} (tau {nearest.tau:g}); ask for less, or train with more weight on these classes"
    )
