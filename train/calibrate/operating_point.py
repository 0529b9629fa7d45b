"""What an operating point gives on validation images, and which one to take."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.metrics import score
from lesionlite.train.calibrate.confidence import fit_temperature
from lesionlite.train.data.splits import Split

TAUS = tuple(step / 20 for step in range(-20, 31))
"""-1, which doubles training's preference for rare classes, to 1.5."""
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


def read_floors(pairs: Sequence[str], split: Split) -> dict[str, float]:
    """Parse LABEL=RECALL.

    Raises:
        LesionliteError: it is not of that form, or the class has no validation images.
    """
    have = [label for label, n in zip(split.labels, split.counts(), strict=True) if n]
    floors = {}
    for pair in pairs:
        label, _, number = pair.rpartition("=")
        try:
            floor = float(number)
        except ValueError:
            floor = math.nan
        if not label or not 0 <= floor <= 1:
            raise LesionliteError(
                f"--min-recall is {pair}; it must be LABEL=RECALL with a recall from 0 to 1, such "
                "as Melanoma=0.6"
            )
        if label not in have:
            raise unknown_choice("class with validation images", label, have)
        floors[label] = floor
    return floors


def curve(answers: Answers, direction: NDArray[np.float64]) -> tuple[OperatingPoint, ...]:
    """The operating points of all `TAUS`; see `operating_point`."""
    return tuple(operating_point(answers, direction, tau) for tau in TAUS)


def operating_point(answers: Answers, direction: NDArray[np.float64], tau: float) -> OperatingPoint:
    """The scores at one tau, with the temperature that fits it.

    Args:
        answers: on validation images.
        direction: log(target / prior) [C].
        tau: how far to go in that direction.
    """
    shift = tau * direction
    temperature = fit_temperature(answers.logits, answers.truth, shift)
    probabilities = softmax(answers.logits / temperature + shift, axis=1)
    scores = score(probabilities, answers.truth, answers.labels)
    recall = {row.label: row.recall for row in scores.classes if row.support}
    balanced = float(np.mean(list(recall.values())))
    return OperatingPoint(
        tau, scores.weighted_f1, scores.macro_f1, balanced, scores.accuracy, recall
    )


def choose(
    points: Sequence[OperatingPoint], metric: str, floors: Mapping[str, float]
) -> OperatingPoint:
    """The operating point with the best score among those that keep the floors.

    Raises:
        LesionliteError: none keeps them; it names the one that comes nearest.
    """
    keeping = [p for p in points if all(p.recall[name] >= floor for name, floor in floors.items())]
    if keeping:
        return max(keeping, key=lambda point: (getattr(point, metric), -abs(point.tau)))
    nearest = max(points, key=lambda p: min(p.recall[name] - floors[name] for name in floors))
    reached = ", ".join(f"{name}={nearest.recall[name]:.3f}" for name in floors)
    asked = ", ".join(f"{name}={floor}" for name, floor in floors.items())
    raise LesionliteError(
        f"no operating point keeps --min-recall {asked} on the validation images; the nearest has "
        f"{reached} (tau {nearest.tau:g}); ask for less, or train with more weight on these classes"
    )
