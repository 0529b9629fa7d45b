"""Operating points: the shift is right, and the choice keeps its floors."""

import numpy as np
import pytest

from lesionlite.errors import LesionliteError
from lesionlite.train.calibrate.operating_point import (
    TAUS,
    Answers,
    OperatingPoint,
    choose,
    curve,
)
from lesionlite.train.calibrate.prior import log_ratio

LABELS = ("common", "rare", "rarest")
PRIOR = np.array([0.9, 0.07, 0.03])


@pytest.fixture(scope="module")
def points() -> tuple[OperatingPoint, ...]:
    """Of a network that knows the likelihoods, and was trained on classes alike frequent."""
    generator = np.random.default_rng(0)
    truth = generator.choice(3, 20_000, p=PRIOR)
    means = np.eye(3) * 2
    image = means[truth] + generator.normal(size=(len(truth), 3))
    logits = -0.5 * ((image[:, None] - means) ** 2).sum(2)  # log p(image | class), up to a constant
    answers = Answers(logits.astype(np.float32), truth, LABELS)
    return curve(answers, log_ratio(PRIOR.tolist(), [1 / 3] * 3))


def test_tau_one_answers_for_the_target(points: tuple[OperatingPoint, ...]) -> None:
    by_accuracy = max(points, key=lambda point: point.accuracy)
    assert abs(by_accuracy.tau - 1) <= 0.15  # the rule of Bayes is the most accurate one
    balanced = max(points, key=lambda point: point.balanced_accuracy)
    assert abs(balanced.tau) <= 0.15
    assert points[TAUS.index(0.0)].recall["rarest"] > points[TAUS.index(1.0)].recall["rarest"]


def test_the_choice_keeps_the_floors(points: tuple[OperatingPoint, ...]) -> None:
    free = choose(points, "weighted_f1", {})
    floors = {"rarest": free.recall["rarest"] + 0.1}
    kept = choose(points, "weighted_f1", floors)
    assert kept.recall["rarest"] >= floors["rarest"] and kept.tau < free.tau
    better = [point for point in points if point.weighted_f1 > kept.weighted_f1]
    assert better and all(point.recall["rarest"] < floors["rarest"] for point in better)


def test_floors_that_nothing_keeps_are_refused_with_the_nearest(
    points: tuple[OperatingPoint, ...],
) -> None:
    with pytest.raises(LesionliteError, match=r"rarest=0.999.* nearest has rarest=0\.\d+ .tau -1"):
        choose(points, "weighted_f1", {"rarest": 0.999})


def test_classes_that_one_side_lacks_are_not_moved() -> None:
    ratio = log_ratio([0.5, 0.5, 0.0], [0.25, 0.5, 0.25])
    assert ratio[2] == 0 and ratio[0] - ratio[1] == pytest.approx(np.log(2))
    assert not log_ratio([0.2, 0.8, 0], [0.2, 0.8, 0]).any()
