"""Calibrate a network's confidence: its temperature, and the threshold for "not sure"."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from lesionlite.metrics import calibration_error, reliability

Floats = NDArray[np.floating[Any]]
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.2, 5.0  # beyond them the validation set is too small or easy
MAX_THRESHOLD = 0.9999  # a contract's threshold must be below 1


@dataclass(frozen=True)
class Confidence:
    """A temperature and a threshold, fitted on validation images, and what they achieve there.

    Attributes:
        temperature: logits are divided by it (Guo et al. 2017, eq. 9).
        unsure_below: an app says "not sure" if the largest probability is below this threshold.
        coverage: share of the images that get an answer.
        accuracy: on the images that get an answer.
        accuracy_of_all: on all images.
        calibration_error_before: expected calibration error, 15 bins, at temperature 1.
        calibration_error: the same at the fitted temperature.
        images: number of validation images.
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
        """A summary to print."""
        return (
            f"temperature {self.temperature:.3f}: calibration error "
            f"{self.calibration_error_before:.3f} -> {self.calibration_error:.3f}; "
            f'"not sure" below {self.unsure_below:.2f} leaves {self.coverage:.0%} of the images, '
            f"accuracy {self.accuracy_of_all:.3f} -> {self.accuracy:.3f} (validation)"
        )

    def document(self) -> dict[str, float]:
        """The fields for `train.json`."""
        return asdict(self)


def fit_confidence(
    logits: Floats, truth: NDArray[np.int64], coverage: float, adjustment: Any = 0.0
) -> Confidence:
    """Fit temperature and threshold on validation images; a contract accepts both.

    Args:
        logits: float [N, C], finite, N at least 1.
        truth: class indices, int64 [N].
        coverage: share of the images that should get an answer.
        adjustment: the logit adjustment of each class, [C].
    """
    temperature = fit_temperature(logits, truth, adjustment)
    before = softmax(logits + adjustment, axis=1)
    after = softmax(logits / temperature + adjustment, axis=1)
    right = after.argmax(1) == truth
    confidence = after.max(1).astype(np.float32)
    # The contract holds four decimals: round down, so that rounding excludes no image.
    lowest = float(np.quantile(confidence, 1 - coverage, method="lower"))
    threshold = min(MAX_THRESHOLD, math.floor(lowest * 1e4) / 1e4)
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


def fit_temperature(logits: Floats, truth: NDArray[np.int64], adjustment: Any = 0.0) -> float:
    """The temperature, within bounds, that minimizes the negative log-likelihood.

    Args:
        logits: float [N, C].
        truth: class indices, int64 [N].
        adjustment: the logit adjustment of each class, [C], which the temperature does not divide.
    """
    from scipy.optimize import minimize_scalar

    wide = logits.astype(np.float64)
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        z = wide / np.exp(log_temperature) + adjustment
        z -= z.max(1, keepdims=True)
        return float((np.log(np.exp(z).sum(1)) - z[rows, truth]).mean())

    bounds = tuple(np.log((MIN_TEMPERATURE, MAX_TEMPERATURE)))
    found = minimize_scalar(loss, bounds=bounds, method="bounded")
    return float(round(np.exp(found.x), 4))
