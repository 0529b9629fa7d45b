"""Parity: does an artifact predict as PyTorch does? And the gate that decides it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.statistics import Indices, Interval, f1_change_interval, mcnemar
from lesionlite.export.precision import PRECISIONS, Precision
from lesionlite.metrics import Bin, Scores, score

Probabilities = NDArray[np.float32]
Rejects = Callable[[Probabilities], NDArray[np.bool_] | None]
MOST_CHANGED = 20
FALSE_ALARMS = 0.05
ROUNDING = 1e-9  # more than the floating-point error of 1 - 0.999


@dataclass(frozen=True)
class ImageChange:
    """One image with the answers of PyTorch (before) and of the artifact (after)."""

    image: str
    truth: str
    before: str
    before_probability: float
    after: str
    after_probability: float
    max_abs_dp: float


@dataclass(frozen=True)
class Parity:
    """An artifact's answers compared with PyTorch's on the same images.

    |Δp| is the absolute difference between the two probabilities of a class.

    Attributes:
        images: Number of images.
        weighted_f1: Of the artifact.
        delta_weighted_f1: The artifact's minus PyTorch's; below 0 is a loss.
        delta_interval: 95 % confidence interval of that change, by paired bootstrap.
        became_wrong: Number of images that PyTorch classifies rightly and the artifact wrongly.
        became_right: Number of images that PyTorch classifies wrongly and the artifact rightly.
        mcnemar_p: p-value of McNemar's test.
        macro_f1: Of the artifact.
        recall: Of the artifact, for each class with at least one image.
        delta_recall: The artifact's minus PyTorch's, for the same classes.
        top1_agreement: Share of images with the same answer.
        rejection_agreement: Share of images that both reject or both keep, as images of another
            kind; None if the contract does not tell such images.
        mean_abs_dp: Mean |Δp| over images and classes.
        max_abs_dp: Largest |Δp|.
        abs_dp: Mean and quantiles, over images, of the largest |Δp| of an image.
        expected_calibration_error: Of the artifact, with 15 bins (Guo et al. 2017, eq. 3).
        reliability: Those bins.
        confusion: [C][C] counts: rows are true classes, columns the artifact's answers.
        most_changed: The images with the largest |Δp|, largest first.
    """

    images: int
    weighted_f1: float
    delta_weighted_f1: float
    delta_interval: Interval
    became_wrong: int
    became_right: int
    mcnemar_p: float
    macro_f1: float
    recall: dict[str, float]
    delta_recall: dict[str, float]
    top1_agreement: float
    rejection_agreement: float | None
    mean_abs_dp: float
    max_abs_dp: float
    abs_dp: dict[str, float]
    expected_calibration_error: float
    reliability: tuple[Bin, ...]
    confusion: tuple[tuple[int, ...], ...]
    most_changed: tuple[ImageChange, ...]


def compare(
    probabilities: Probabilities,
    reference: Probabilities,
    truth: Indices,
    labels: tuple[str, ...],
    names: Sequence[str],
    rejects: Rejects = lambda probabilities: None,
) -> Parity:
    """Compare an artifact's probabilities with PyTorch's.

    Args:
        probabilities: Of the artifact, [N, C].
        reference: Of PyTorch, [N, C].
        truth: Class indices [N].
        labels: Names of the classes [C].
        names: Names of the images [N].
        rejects: Whether images with some probabilities [N, C] are of another kind, [N] or None.

    Raises:
        ValueError: Some probabilities are not finite; see `not_finite`.
    """
    if reason := not_finite(probabilities, names):
        raise ValueError(reason)
    mine, theirs = score(probabilities, truth, labels), score(reference, truth, labels)
    difference = np.abs(probabilities.astype(np.float64) - reference)
    largest = difference.max(1)
    rejected = rejects(probabilities)
    same = None if rejected is None else float(np.mean(rejected == rejects(reference)))
    return Parity(
        **_compare_answers(probabilities.argmax(1), reference.argmax(1), truth),
        **_compare_recalls(mine, theirs),
        images=len(truth),
        weighted_f1=mine.weighted_f1,
        delta_weighted_f1=mine.weighted_f1 - theirs.weighted_f1,
        macro_f1=mine.macro_f1,
        rejection_agreement=same,
        mean_abs_dp=float(difference.mean()),
        max_abs_dp=float(largest.max()),
        abs_dp=_spread(largest),
        expected_calibration_error=mine.calibration_error,
        reliability=mine.reliability,
        confusion=mine.confusion,
        most_changed=_most_changed(largest, probabilities, reference, truth, labels, names),
    )


def _compare_answers(answers: Indices, before: Indices, truth: Indices) -> dict[str, Any]:
    """The fields of `Parity` that depend on the most probable classes [N] alone."""
    right, was_right = answers == truth, before == truth
    return {
        "delta_interval": f1_change_interval(truth, answers, before),
        "became_wrong": int((was_right & ~right).sum()),
        "became_right": int((right & ~was_right).sum()),
        "mcnemar_p": mcnemar(right, was_right),
        "top1_agreement": float((answers == before).mean()),
    }


def _compare_recalls(scores: Scores, reference: Scores) -> dict[str, Any]:
    """The fields of `Parity` about recall, by the label of each class that has images."""
    pairs = zip(scores.classes, reference.classes, strict=True)
    pairs_with_images = [(new, old) for new, old in pairs if new.support]
    return {
        "recall": {new.label: new.recall for new, _ in pairs_with_images},
        "delta_recall": {new.label: new.recall - old.recall for new, old in pairs_with_images},
    }


def not_finite(probabilities: Probabilities, names: Sequence[str]) -> str:
    """A sentence if some answers are not finite, as after an overflow; "" if all are finite.

    Args:
        probabilities: Of a model, [N, C].
        names: Names of the images [N].
    """
    wrong = np.flatnonzero(~np.isfinite(probabilities).all(1))
    if not len(wrong):
        return ""
    return (
        f"{len(wrong)} of {len(probabilities)} answers are not finite numbers, the first is to "
        f"{names[wrong[0]]}"
    )


def too_few(images: int, precisions: Iterable[str], config: BenchmarkConfig) -> str:
    """A sentence if one changed answer already breaks a gate; "" if there are enough images.

    If the user allows no change at all, more images do not help.
    """
    needed = {}
    for name in dict.fromkeys(precisions):
        share = 1 - tolerances(PRECISIONS[name], config)[1]
        if share > 0 and images * share < 1 - ROUNDING:
            needed[name] = ceil(1 / share - ROUNDING)
    if not needed:
        return ""
    few = "1 test image is" if images == 1 else f"{images} test images are"
    return (
        f"{few} too few to judge {', '.join(needed)}: one changed answer is more than the gate "
        f"allows, so a pass says little; {max(needed.values())} or more are needed"
    )


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    quantiles = {f"p{q}": float(np.percentile(values, q)) for q in (50, 90, 99)}
    return {"mean": float(values.mean()), **quantiles}


def _most_changed(
    change: NDArray[np.float64],
    probabilities: Probabilities,
    reference: Probabilities,
    truth: Indices,
    labels: tuple[str, ...],
    names: Sequence[str],
) -> tuple[ImageChange, ...]:
    return tuple(
        ImageChange(
            image=names[i],
            truth=labels[truth[i]],
            before=labels[(old := reference[i].argmax())],
            before_probability=float(reference[i, old]),
            after=labels[(new := probabilities[i].argmax())],
            after_probability=float(probabilities[i, new]),
            max_abs_dp=float(change[i]),
        )
        for i in np.argsort(-change, kind="stable")[:MOST_CHANGED]
    )


def judge(parity: Parity, precision: Precision, config: BenchmarkConfig) -> tuple[bool, str]:
    """The gate: whether an artifact passes, and why not ("" if it passes)."""
    loss, agreement, most = tolerances(precision, config)
    reasons = []
    if -parity.delta_weighted_f1 > loss:
        changed = round((1 - parity.top1_agreement) * parity.images)
        reasons.append(
            f"weighted F1 fell by {-parity.delta_weighted_f1:.4f}, more than {loss} "
            f"({changed} of {parity.images} answers changed)"
        )
    elif config.gate == "interval" and -parity.delta_interval.low > loss:
        reasons.append(
            f"weighted F1 may have fallen by {-parity.delta_interval.low:.4f} (95 %), more than "
            f"{loss}; more images narrow the interval"
        )
    if parity.top1_agreement < agreement:
        reasons.append(f"only {parity.top1_agreement:.4f} of the answers stayed, below {agreement}")
    rejections = parity.rejection_agreement
    if rejections is not None and rejections < agreement:
        reasons.append(f"only {rejections:.4f} of the images are still rejected, or still kept")
    if (mean := parity.abs_dp["mean"]) > most:
        reasons.append(f"probabilities moved by {mean:.4f} on average, more than {most}")
    asked = config.recall_gates()
    supports = [images for row in parity.confusion if (images := sum(row))]
    for (label, delta), images in zip(parity.delta_recall.items(), supports, strict=True):
        least = asked.get(label, recall_floor(images, len(supports), precision, config))
        if delta < least - ROUNDING:
            of = "" if label in asked else f" for {images} images"
            reasons.append(f"recall of {label} changed by {delta:+.4f}, below {least:+.4f}{of}")
    return not reasons, "; ".join(reasons)


def recall_floor(images: int, classes: int, precision: Precision, config: BenchmarkConfig) -> float:
    """The smallest change of a class's recall that passes unless `--min-recall` names the class.

    It is the tolerated loss of weighted F1, plus what chance explains where as many answers of the
    class change, at random, as may change at all: of twenty files that lose no more than tolerated,
    one fails by chance, whatever the number of classes (Bonferroni). Half an image is added because
    images are whole (continuity correction). So the floor is wide for few images. One answer may
    always change.

    Args:
        images: Of the class.
        classes: That have images.
        precision: Of the artifact.
        config: May replace the tolerances.
    """
    loss, agreement, _ = tolerances(precision, config)
    chance = NormalDist().inv_cdf(1 - FALSE_ALARMS / classes) * sqrt((1 - agreement) / images)
    return -max(loss + chance + 0.5 / images, 1 / images)


def tolerances(precision: Precision, config: BenchmarkConfig) -> tuple[float, float, float]:
    """Largest loss of weighted F1, smallest agreement, largest mean |Δp| that pass.

    A setting of the user replaces the default of the precision.
    """
    settings = (config.max_f1_loss, config.min_agreement, config.max_mean_dp)
    defaults = (precision.max_f1_loss, precision.min_agreement, precision.max_mean_dp)
    loss, agreement, most = (
        default if setting is None else setting
        for setting, default in zip(settings, defaults, strict=True)
    )
    return loss, agreement, most
