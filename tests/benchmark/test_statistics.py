import numpy as np
import pytest
from sklearn.metrics import f1_score

from lesionlite.benchmark import statistics
from lesionlite.benchmark.statistics import f1_change_interval, mcnemar


def answers(seed: int, wrong: float, images: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Truth of 5 classes, badly imbalanced, and answers of which such a share is drawn anew."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(5, images, p=[0.6, 0.2, 0.1, 0.07, 0.03])
    return truth, np.where(rng.random(images) < wrong, rng.integers(0, 5, images), truth)


def test_the_interval_is_that_of_resampled_images() -> None:
    truth, mine = answers(0, 0.35)
    theirs = np.where(np.random.default_rng(9).random(400) < 0.1, truth, mine)
    rng = np.random.default_rng(1)
    changes = []
    for _ in range(1000):
        i = rng.integers(0, 400, 400)
        scores = [f1_score(truth[i], a[i], average="weighted") for a in (mine, theirs)]
        changes.append(scores[0] - scores[1])
    low, high = np.percentile(changes, [2.5, 97.5])
    interval = f1_change_interval(truth, mine, theirs)
    assert interval.low == pytest.approx(low, abs=0.004)
    assert interval.high == pytest.approx(high, abs=0.004)
    assert interval == f1_change_interval(truth, mine, theirs)  # seeded


@pytest.mark.parametrize("images", [100, 300, 1000])
def test_equal_answers_leave_the_doubt_that_few_images_leave(images: int) -> None:
    truth, mine = answers(0, 0.35, images)
    interval = f1_change_interval(truth, mine, mine)
    # "Rule of three": if none of N changed, then with 95 % confidence at most 3 in N change.
    assert 1 / images < -interval.low < 4 / images and 1 / images < interval.high < 4 / images


def test_one_class_can_only_be_answered_rightly() -> None:
    one = np.zeros(20, np.int64)
    interval = f1_change_interval(one, one, one)
    assert interval.low == interval.high == 0


def coverage(images: int, changed: float) -> float:
    """How often the interval of drawn images holds the change of all images."""
    everyone = 200_000
    truth, theirs = answers(0, 0.30, everyone)
    rng = np.random.default_rng(1)
    mine = np.where(rng.random(everyone) < changed, rng.integers(0, 5, everyone), theirs)
    wanted = f1_score(truth, mine, average="weighted") - f1_score(truth, theirs, average="weighted")
    hits = []
    for _ in range(200):
        drawn = rng.integers(0, everyone, images)
        interval = f1_change_interval(truth[drawn], mine[drawn], theirs[drawn])
        hits.append(interval.low <= wanted <= interval.high)
    return float(np.mean(hits))


@pytest.mark.slow
@pytest.mark.parametrize(
    "images, changed", [(100, 0.003), (100, 0.03), (280, 0.01), (1400, 0.003), (1400, 0.1)]
)
def test_the_interval_covers_the_true_change_as_often_as_it_says(
    images: int, changed: float
) -> None:
    assert coverage(images, changed) >= 0.92  # nominal 0.95, less two standard errors


def test_a_bootstrap_of_seen_changes_alone_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "UNSEEN", 0.0)
    assert coverage(100, 0.01) < 0.8


def test_mcnemar_is_the_binomial_test_of_what_changed() -> None:
    right = np.array([True] * 90 + [False] * 10)
    assert mcnemar(right, right) == 1
    worse = right.copy()
    worse[:8] = False
    assert mcnemar(worse, right) == pytest.approx(2 / 2**8)  # eight of eight coins on one side
    assert mcnemar(right, worse) == mcnemar(worse, right)
