"""Confidence that means something: a temperature, and when an app should say "not sure"."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from lesionlite.metrics import calibration_error, reliability

Floats = NDArray[np.floating[Any]]
COLDEST, HOTTEST = 0.2, 5.0  # beyond them the validation set is too small or too easy to tell
SUREST = 0.9999  # the contract's threshold lies below 1: that confidence itself gets an answer


@dataclass(frozen=True)
class Confidence:
    """What was fitted on validation images.

    Attributes:
        temperature: logits are divided by it (Guo et al. 2017, eq. 9).
        unsure_below: largest probability below which there is no answer.
        coverage: share of the images that get one.
        accuracy: of the images that get one.
        accuracy_of_all: of all.
        calibration_error_before: expected, 15 bins, at temperature 1.
        calibration_error: the same at the temperature.
        images: how many there were.
    """

    temperature: float
    unsure_below: float
    coverage: float
    accuracy: float
    accuracy_of_all: float
    calibration_error_before: float
    calibration_error: float
    images: int

    def sentence(self) -> str:
        """For a person."""
        return (
            f"temperature {self.temperature:.3f}: calibration error "
            f"{self.calibration_error_before:.3f} -> {self.calibration_error:.3f}; "
            f'"not sure" below {self.unsure_below:.2f} leaves {self.coverage:.0%} of the images, '
            f"accuracy {self.accuracy_of_all:.3f} -> {self.accuracy:.3f} (validation)"
        )

    def document(self) -> dict[str, float]:
        """For `train.json`."""
        return asdict(self)


def fit_confidence(logits: Floats, truth: NDArray[np.int64], coverage: float) -> Confidence:
    """Fit both on validation images. The result always fits into a contract.

    Args:
        logits: [N, C], finite, of one image or more.
        truth: class indices, [N].
        coverage: share of the images that shall get an answer.
    """
    temperature = fit_temperature(logits, truth)
    before, after = softmax(logits, axis=1), softmax(logits / temperature, axis=1)
    right = logits.argmax(1) == truth
    confidence = after.max(1).astype(np.float32)
    # As a phone reads it out of the contract: rounded down, so that none falls out by rounding.
    lowest = float(np.quantile(confidence, 1 - coverage, method="lower"))
    threshold = min(SUREST, math.floor(lowest * 1e4) / 1e4)
    answered = confidence >= threshold
    return Confidence(
        temperature=temperature,
        unsure_below=threshold,
        coverage=float(answered.mean()),
        accuracy=float(right[answered].mean()),
        accuracy_of_all=float(right.mean()),
        calibration_error_before=calibration_error(reliability(before, truth)),
        calibration_error=calibration_error(reliability(after, truth)),
        images=len(truth),
    )


def fit_temperature(logits: Floats, truth: NDArray[np.int64]) -> float:
    """The temperature of least negative log-likelihood, from `COLDEST` to `HOTTEST`."""
    from scipy.optimize import minimize_scalar

    wide = logits.astype(np.float64)
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        z = wide / np.exp(log_temperature)
        z -= z.max(1, keepdims=True)
        return float((np.log(np.exp(z).sum(1)) - z[rows, truth]).mean())

    found = minimize_scalar(loss, bounds=tuple(np.log((COLDEST, HOTTEST))), method="bounded")
    return float(round(np.exp(found.x), 4))
