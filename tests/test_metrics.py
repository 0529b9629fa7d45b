import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from lesionlite.metrics import calibration_error, reliability, score, weighted_f1

LABELS = ("a", "b", "c", "d")


def sample() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 200)  # "d" has no image
    logits = rng.normal(size=(200, 4)) + 1.5 * np.eye(4)[truth]
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), truth


def test_scores_match_scikit_learn() -> None:
    probabilities, truth = sample()
    answers = probabilities.argmax(1)
    scores = score(probabilities, truth, LABELS)
    expected = f1_score(truth, answers, average="weighted")
    assert scores.weighted_f1 == pytest.approx(expected)
    assert weighted_f1(truth, answers, 4) == pytest.approx(expected)
    present = f1_score(truth, answers, labels=[0, 1, 2], average="macro")
    assert scores.macro_f1 == pytest.approx(present)
    assert scores.images == 200 and sum(map(sum, scores.confusion)) == 200
    assert scores.classes[3].support == 0


def test_auc_is_averaged_over_the_classes_present() -> None:
    probabilities, truth = sample()
    areas = [roc_auc_score(truth == c, probabilities[:, c]) for c in range(3)]
    expected = np.average(areas, weights=np.bincount(truth))
    assert score(probabilities, truth, LABELS).weighted_auc == pytest.approx(expected)
    assert score(probabilities[truth == 0], truth[truth == 0], LABELS).weighted_auc is None


def test_calibration_error_is_confidence_less_accuracy() -> None:
    sure = np.full((300, 4), 0.2 / 3)
    sure[:, 0] = 0.8
    (only,) = reliability(sure, np.zeros(300, int))
    assert (only.images, only.accuracy) == (300, 1) and only.confidence == pytest.approx(0.8)
    assert calibration_error((only,)) == pytest.approx(0.2)


def test_reliability_bins_hold_every_image_once() -> None:
    probabilities, truth = sample()
    bins = reliability(probabilities, truth)
    assert sum(b.images for b in bins) == 200 and len(bins) > 5
    confidences = [b.confidence for b in bins]
    assert confidences == sorted(confidences)
    right = (probabilities.argmax(1) == truth).mean()
    assert sum(b.images * b.accuracy for b in bins) / 200 == pytest.approx(right)
    certain = np.eye(4)[truth]  # confidence 1 belongs to the last bin
    assert reliability(certain, truth)[0].images == 200
