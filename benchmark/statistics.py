"""How certain a score is, and a difference between two models on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.metrics import Floats, class_counts, weighted_f1_of_counts

Indices = NDArray[np.int64]
RESAMPLES, SEED = 10_000, 0
UNSEEN = 0.5  # images added that became wrong, and as many that became right


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval."""

    low: float
    high: float


def f1_change_interval(truth: Indices, answers: Indices, reference: Indices) -> Interval:
    """Paired percentile bootstrap of the change in weighted F1 (Efron and Tibshirani 1993, ch. 13).

    Each resample draws N images with replacement and scores both models on the same images. The
    score depends only on how often each triple (truth, answer, reference answer) occurs, so the
    counts of triples are drawn instead of images. This is equivalent and faster.

    A bootstrap never draws what it has not seen. Where few answers changed, its interval is too
    narrow, and it is empty where none changed. So half an image is added that became wrong, and
    half an image that became right, as Agresti and Min (2005) add to each cell of a 2 x 2 table.

    Args:
        truth: Class indices [N].
        answers: Of the model in question, [N].
        reference: Of the other model, [N].
    """
    triples, counts = np.unique(
        np.stack([truth, answers, reference], axis=1), axis=0, return_counts=True
    )
    unseen, shares = _unseen_changes(truth, np.concatenate([answers, reference]))
    triples, weights = np.concatenate([triples, unseen]), np.concatenate([counts, shares])
    drawn = _resampled(len(truth), weights)
    change = _weighted_f1(drawn, triples[:, 0], triples[:, 1])
    return _middle(change - _weighted_f1(drawn, triples[:, 0], triples[:, 2]))


def _unseen_changes(truth: Indices, answers: Indices) -> tuple[Indices, Floats]:
    """Triples of images that became wrong and that became right, and how many there are of each.

    Each class has its share of half an image. The wrong answer is the one that images of the class
    get most often; where there is none, the most frequent other class.

    Args:
        truth: Class indices [N].
        answers: Of both models, [2 N].
    """
    classes, images = np.unique(truth, return_counts=True)
    both = np.concatenate([truth, truth])
    triples, shares = [], []
    for label, share in zip(classes.tolist(), UNSEEN * images / len(truth), strict=True):
        wrong = answers[(both == label) & (answers != label)]
        others = wrong if len(wrong) else np.concatenate([both, answers])
        others = others[others != label]
        if len(others):
            other = int(np.bincount(others).argmax())
            triples += [(label, other, label), (label, label, other)]
            shares += [share, share]
    return np.array(triples, np.int64).reshape(-1, 3), np.array(shares)


def f1_interval(confusion: Sequence[Sequence[int]]) -> Interval:
    """Percentile bootstrap of weighted F1 (Efron and Tibshirani 1993, ch. 13).

    Args:
        confusion: [C][C] counts: rows are true classes, columns answers.
    """
    counts = np.asarray(confusion)
    truth, answers = np.nonzero(counts)
    drawn = _resampled(int(counts.sum()), counts[truth, answers])
    return _middle(_weighted_f1(drawn, truth, answers))


def _resampled(images: int, weights: NDArray[Any]) -> NDArray[np.float64]:
    """How often each of K kinds occurs among that many drawn images, [R, K]."""
    rng = np.random.default_rng(SEED)
    return rng.multinomial(images, weights / weights.sum(), RESAMPLES).astype(np.float64)


def _middle(scores: Floats) -> Interval:
    """The middle 95 % of the scores of resamples."""
    low, high = np.percentile(scores, [2.5, 97.5])
    return Interval(float(low), float(high))


def recall_interval(right: int, images: int) -> Interval:
    """The score interval of a recall (Wilson 1927)."""
    from scipy.stats import binomtest

    found = binomtest(right, images).proportion_ci(method="wilson")
    return Interval(float(found.low), float(found.high))


def _weighted_f1(counts: NDArray[np.float64], truth: Indices, answers: Indices) -> Floats:
    """Weighted F1 of each resample; `counts` [R, K] says how often triple k occurs in it."""
    classes = 1 + max(truth.max(), answers.max())
    return weighted_f1_of_counts(*class_counts(truth, answers, counts, classes))


def mcnemar(right: NDArray[np.bool_], reference_right: NDArray[np.bool_]) -> float:
    """Exact p-value of McNemar's test (1947; binomial form): both models are right equally often.

    Args:
        right: Whether the model in question is right, [N].
        reference_right: Whether the other model is right, on the same images.
    """
    from scipy.stats import binomtest

    lost = int((reference_right & ~right).sum())
    won = int((right & ~reference_right).sum())
    return float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0
