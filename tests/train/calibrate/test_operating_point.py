"""Operating points: the shift is right, and the choice keeps its floors."""

import numpy as np
import pytest

from lesionlite.errors import LesionliteError
from lesionlite.metrics import score
from lesionlite.train.calibrate.operating_point import (
    TAUS,
    Answers,
    Curve,
    curve,
)
from lesionlite.train.calibrate.prior import log_ratio

LABELS = ("common", "rare", "rarest")
PRIOR = np.array([0.9, 0.07, 0.03])


@pytest.fixture(scope="module")
def found() -> Curve:
    """Of a network that knows the likelihoods, and was trained on classes alike frequent."""
    generator = np.random.default_rng(0)
    truth = generator.choice(3, 20_000, p=PRIOR)
    means = np.eye(3) * 2
    image = means[truth] + generator.normal(size=(len(truth), 3))
    logits = -0.5 * ((image[:, None] - means) ** 2).sum(2)  # log p(image | class), up to a constant
    answers = Answers(logits.astype(np.float32), truth, LABELS)
    return curve(answers, log_ratio(PRIOR.tolist(), [1 / 3] * 3))


def test_tau_one_answers_for_the_target(found: Curve) -> None:
    points = found.points
    by_accuracy = max(points, key=lambda point: point.accuracy)
    assert abs(by_accuracy.tau - 1) <= 0.15  # the rule of Bayes is the most accurate one
    balanced = max(points, key=lambda point: point.balanced_accuracy)
    assert abs(balanced.tau) <= 0.15
    assert points[TAUS.index(0.0)].recall["rarest"] > points[TAUS.index(1.0)].recall["rarest"]


def test_the_choice_keeps_the_floors(found: Curve) -> None:
    free = found.choose("weighted_f1", {})
    floors = {"rarest": free.recall["rarest"] + 0.1}
    kept = found.choose("weighted_f1", floors)
    assert kept.recall["rarest"] >= floors["rarest"] and kept.tau < free.tau
    better = [point for point in found.points if point.weighted_f1 > kept.weighted_f1 + 0.01]
    assert better and all(point.recall["rarest"] < floors["rarest"] for point in better)


def test_floors_that_nothing_keeps_are_refused_with_the_nearest(found: Curve) -> None:
    with pytest.raises(LesionliteError, match=r"rarest=0.999.* nearest has rarest=0\.\d+ .tau -1"):
        found.choose("weighted_f1", {"rarest": 0.999})


def test_noise_moves_less_than_the_best_of_many() -> None:
    """Answers that know nothing about the classes: any tau is as good as another."""
    best, chosen = [], []
    for seed in range(8):
        generator = np.random.default_rng(seed)
        truth = generator.choice(3, 300)
        logits = generator.normal(size=(300, 3)).astype(np.float32)
        found = curve(Answers(logits, truth, LABELS), log_ratio([0.3, 0.3, 0.4], [1 / 3] * 3))
        best.append(max(found.points, key=lambda point: point.balanced_accuracy).tau)
        chosen.append(found.choose("balanced_accuracy", {}).tau)
    assert np.abs(chosen).mean() < 0.7 * np.abs(best).mean()


def test_the_scores_are_those_of_the_metrics(found: Curve) -> None:
    predicted, truth = found.predicted[10], found.answers.truth
    expected = score(np.eye(3)[predicted], truth, LABELS)
    point = found.points[10]
    assert point.weighted_f1 == pytest.approx(expected.weighted_f1)
    assert point.macro_f1 == pytest.approx(expected.macro_f1)
    assert point.accuracy == pytest.approx(expected.accuracy)
    assert point.recall == pytest.approx({row.label: row.recall for row in expected.classes})
    assert point.balanced_accuracy == pytest.approx(np.mean(list(point.recall.values())))


def test_classes_that_one_side_lacks_are_not_moved() -> None:
    ratio = log_ratio([0.5, 0.5, 0.0], [0.25, 0.5, 0.25])
    assert ratio[2] == 0 and ratio[0] - ratio[1] == pytest.approx(np.log(2))
    assert not log_ratio([0.2, 0.8, 0], [0.2, 0.8, 0]).any()
