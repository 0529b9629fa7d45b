"""Does an artifact predict as PyTorch does? Numbers, and the gate that judges them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.precision import Precision
from train.metrics import Scores, score

Probabilities = NDArray[np.float32]


@dataclass(frozen=True)
class Parity:
    """An artifact's answers beside PyTorch's on the same images.

    Attributes:
        images: how many.
        weighted_f1: the artifact's.
        delta_weighted_f1: the artifact's minus PyTorch's; below zero is a loss.
        macro_f1: the artifact's.
        recall: of the artifact, per class.
        top1_agreement: share of images with the same first answer.
        mean_abs_dp: mean |difference of probability|.
        max_abs_dp: largest |difference of probability|.
        expected_calibration_error: of the artifact, 15 bins (Guo et al. 2017, eq. 3).
    """

    images: int
    weighted_f1: float
    delta_weighted_f1: float
    macro_f1: float
    recall: dict[str, float]
    top1_agreement: float
    mean_abs_dp: float
    max_abs_dp: float
    expected_calibration_error: float


def compare(
    probabilities: Probabilities,
    reference: Probabilities,
    truth: NDArray[np.int64],
    labels: tuple[str, ...],
) -> Parity:
    """Compare an artifact's probabilities [N, C] with PyTorch's.

    Raises:
        ValueError: if the artifact gave something other than finite probabilities.
    """
    if probabilities.shape != reference.shape or not np.isfinite(probabilities).all():
        raise ValueError("it gave answers that are not finite probabilities")
    mine: Scores = score(probabilities, truth, labels)
    theirs = score(reference, truth, labels)
    difference = np.abs(probabilities.astype(np.float64) - reference)
    return Parity(
        images=len(truth),
        weighted_f1=mine.weighted_f1,
        delta_weighted_f1=mine.weighted_f1 - theirs.weighted_f1,
        macro_f1=mine.macro_f1,
        recall={row.label: row.recall for row in mine.classes if row.support},
        top1_agreement=float((probabilities.argmax(1) == reference.argmax(1)).mean()),
        mean_abs_dp=float(difference.mean()),
        max_abs_dp=float(difference.max()),
        expected_calibration_error=calibration_error(probabilities, truth),
    )


def calibration_error(probabilities: Probabilities, truth: NDArray[np.int64]) -> float:
    """Expected calibration error: |accuracy - confidence| per bin, averaged by the bin's size."""
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == truth
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps: list[Any] = [
        abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).sum()
        for b in np.unique(bins)
    ]
    return float(sum(gaps) / len(truth))


def judge(
    parity: Parity,
    precision: Precision,
    max_f1_loss: float | None = None,
    min_agreement: float | None = None,
) -> tuple[bool, str]:
    """The gate: whether an artifact passes, and a sentence that says why not ("" if it does)."""
    loss = precision.max_f1_loss if max_f1_loss is None else max_f1_loss
    agreement = precision.min_agreement if min_agreement is None else min_agreement
    reasons = []
    if -parity.delta_weighted_f1 > loss:
        changed = f"{round((1 - parity.top1_agreement) * parity.images)} of {parity.images}"
        reasons.append(
            f"weighted F1 fell by {-parity.delta_weighted_f1:.4f}, more than {loss} "
            f"({changed} answers changed)"
        )
    if parity.top1_agreement < agreement:
        reasons.append(f"only {parity.top1_agreement:.4f} of the answers stayed, below {agreement}")
    return not reasons, "; ".join(reasons)
