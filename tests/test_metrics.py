import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from train.metrics import score, weighted_f1

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
