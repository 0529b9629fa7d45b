"""Fit what tells images of another kind from those that the network has learned.

An image of another kind still gets probabilities, and often a large one. Its colours and detail,
and which probabilities it gets together, tell more (docs/results.md compares other ways, such as
distances between the network's features). All of it can be computed from a file's input and output,
so every format and every precision has it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import softmax

from lesionlite.contract import Contract
from lesionlite.rejection import Rejection

Floats = NDArray[np.float64]
LEAST_PROBABILITY = 1e-4  # files in few bits agree on larger ones
LEAST_DEVIATION = 0.05  # of any number; a class that no image shows has always the same one
FOLDS = 10


@dataclass(frozen=True)
class Described:
    """Labelled images as a rejection sees them.

    Attributes:
        logits: calibrated ones, float [N, C]; minus infinity for a class that is left out.
        statistics: of the pixels, [N, 15].
        truth: class indices, int64 [N].
    """

    logits: NDArray[np.floating]
    statistics: Floats
    truth: NDArray[np.int64]

    @cached_property
    def numbers(self) -> Floats:
        """What describes each image, [N, D]."""
        return numbers(softmax(self.logits.astype(float), axis=1), self.statistics)

    @cached_property
    def out_of_fold(self) -> Floats:
        """The squared distance of each image, [N], by Gaussians that were fitted without it."""
        fold = np.random.default_rng(0).permutation(len(self.truth)) % FOLDS
        distances = np.empty(len(self.truth))
        for index in range(FOLDS):
            left, rest = fold == index, fold != index
            fitted = _gaussians(self.numbers[rest], self.truth[rest], math.inf)
            distances[left] = squared_distances(fitted, self.numbers[left])
        return distances

    def without(self, classes: Sequence[int]) -> "Described":
        """The same images as a network without the outputs of some classes would see them."""
        logits = self.logits.astype(float)
        logits[:, list(classes)] = -math.inf
        return Described(logits, self.statistics, self.truth)

    def where(self, chosen: NDArray[np.bool_]) -> "Described":
        """Some of the images."""
        return Described(self.logits[chosen], self.statistics[chosen], self.truth[chosen])


def numbers(probabilities: NDArray[np.floating], statistics: Floats) -> Floats:
    """What describes each image, [N, D]: logs of probabilities [N, C], statistics [N, 15]."""
    logs = np.log(np.maximum(probabilities.astype(float), LEAST_PROBABILITY))
    return np.concatenate([logs, statistics], axis=1)


def squared_distances(rejection: Rejection, rows: Floats) -> Floats:
    """The squared Mahalanobis distance of images to the nearest class, [N].

    Args:
        rejection: of a contract.
        rows: what `numbers` gives, [N, D].
    """
    whitened = rows @ np.array(rejection.whitening).T
    return np.asarray(cdist(whitened, rejection.centres, "sqeuclidean").min(1))


def rejections(
    contract: Contract, statistics: Floats, probabilities: NDArray[np.floating]
) -> NDArray[np.bool_] | None:
    """Whether images are of another kind, [N]; None if the contract has no rejection.

    Args:
        contract: of the network.
        statistics: of its inputs, [N, 15]; see `image_statistics`.
        probabilities: its outputs, [N, C].
    """
    rejection = contract.rejection
    if rejection is None:
        return None
    rows = numbers(probabilities, statistics)
    return np.asarray(squared_distances(rejection, rows) > rejection.reject_above)


def fit_rejection(images: Described, false_rejections: float) -> Rejection | None:
    """Fit a Gaussian around each class, and where images of the kind end.

    The end is where a share of images would be rejected that the Gaussians were not fitted to: each
    tenth of the images is measured by the others. It is the quantile of conformal prediction
    (Angelopoulos and Bates 2021, arXiv 2107.07511, section 1). With folds the share holds about,
    not exactly, for new images of the kind.

    Args:
        images: of validation.
        false_rejections: the share.

    Returns:
        None if the share is smaller than 1 / (N + 1), the smallest that N images can show, or if
        there are fewer than ten images.
    """
    last = math.ceil((len(images.truth) + 1) * (1 - false_rejections))
    if len(images.truth) < max(last, FOLDS):
        return None
    end = float(np.sort(images.out_of_fold)[last - 1])
    return _gaussians(images.numbers, images.truth, end)


def _gaussians(rows: Floats, truth: NDArray[np.int64], reject_above: float) -> Rejection:
    """One mean for each class, and one covariance for all, shrunk as Ledoit and Wolf (2004) do."""
    from sklearn.covariance import ledoit_wolf

    deviation = np.maximum(rows.std(0), LEAST_DEVIATION)
    means = {index: rows[truth == index].mean(0) for index in np.unique(truth)}
    around = np.array([means[index] for index in truth])
    covariance, _ = ledoit_wolf((rows - around) / deviation, assume_centered=True)
    floor = LEAST_DEVIATION**2 * np.eye(len(covariance))  # equal images have no covariance
    whitening = np.linalg.cholesky(np.linalg.inv(covariance + floor)).T / deviation
    short = np.array([[float(f"{value:.6g}") for value in row] for row in whitening])
    centres = np.array([*means.values()]) @ short.T
    return Rejection(
        LEAST_PROBABILITY,
        tuple(map(tuple, short.tolist())),
        tuple(tuple(float(f"{value:.6g}") for value in row) for row in centres),
        float(f"{reject_above:.6g}"),
    )
