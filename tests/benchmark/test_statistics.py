import numpy as np
import pytest
from sklearn.metrics import f1_score

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


def test_equal_answers_leave_no_doubt() -> None:
    truth, mine = answers(0, 0.35)
    interval = f1_change_interval(truth, mine, mine)
    assert interval.low == interval.high == 0


@pytest.mark.slow
def test_the_interval_covers_the_true_change_as_often_as_it_says() -> None:
    truth, mine = answers(0, 0.30, images=200_000)
    _, theirs = answers(0, 0.27, images=200_000)
    wanted = f1_score(truth, mine, average="weighted") - f1_score(truth, theirs, average="weighted")
    hits = []
    for start in range(0, 200_000, 1000):
        part = slice(start, start + 1000)
        interval = f1_change_interval(truth[part], mine[part], theirs[part])
        hits.append(interval.low <= wanted <= interval.high)
    assert 0.90 <= np.mean(hits) <= 0.99


def test_mcnemar_is_the_binomial_test_of_what_changed() -> None:
    right = np.array([True] * 90 + [False] * 10)
    assert mcnemar(right, right) == 1
    worse = right.copy()
    worse[:8] = False
    assert mcnemar(worse, right) == pytest.approx(2 / 2**8)  # eight of eight coins on one side
    assert mcnemar(right, worse) == mcnemar(worse, right)
