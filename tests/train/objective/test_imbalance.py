import math

import pytest

from lesionlite.train.objective.imbalance import (
    effective_prior,
    ens_weights,
    log_prior,
    sampling_weights,
)

# The training counts of the paper's Table 1: ISIC 2019 and 15 times MSLD v2.0, four fifths of each.
TABLE_1 = {
    "Actinic keratoses": 693,
    "Basal cell carcinoma": 2658,
    "Benign keratosis-like lesions": 2099,
    "Chickenpox": 900,
    "Cowpox": 792,
    "Dermatofibroma": 191,
    "HFMD": 1932,
    "Healthy": 1368,
    "Measles": 660,
    "Melanocytic nevi": 10300,
    "Melanoma": 3617,
    "Monkeypox": 3408,
    "Squamous cell carcinoma": 502,
    "Vascular lesions": 202,
}


def test_the_papers_weights() -> None:
    weights = dict(zip(TABLE_1, ens_weights(list(TABLE_1.values())), strict=True))
    assert sum(weights.values()) / len(weights) == pytest.approx(1)
    assert weights["Dermatofibroma"] == pytest.approx(2.76, abs=0.01)
    assert weights["Vascular lesions"] == pytest.approx(2.63, abs=0.01)
    assert weights["Melanocytic nevi"] == pytest.approx(0.48, abs=0.005)
    assert weights["Monkeypox"] == pytest.approx(0.50, abs=0.005)


def test_an_empty_class_weighs_nothing_and_is_left_out_of_the_mean() -> None:
    weights = ens_weights([10, 0, 1000])
    assert weights[1] == 0
    assert weights[0] + weights[2] == pytest.approx(2)
    assert weights[0] > weights[2]


def test_beta_zero_weighs_all_alike() -> None:
    assert ens_weights([1, 10, 100], beta=0) == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(("counts", "beta"), [([1, 2], 1.0), ([1, 2], -0.1), ([0, 0], 0.9)])
def test_senseless_weights_are_refused(counts: list[int], beta: float) -> None:
    with pytest.raises(ValueError):
        ens_weights(counts, beta)


def test_a_class_is_drawn_by_the_root_of_its_count() -> None:
    counts = [4, 0, 400]
    weights = sampling_weights(counts)
    assert weights[1] == 0
    shares = [count * weight for count, weight in zip(counts, weights, strict=True)]
    assert shares[2] / shares[0] == pytest.approx(10)


def test_the_prior_is_what_is_drawn_times_its_weight() -> None:
    counts = [900, 100, 0]
    assert effective_prior(counts, "none", 0.999) == pytest.approx((0.9, 0.1, 0))
    assert effective_prior(counts, "sampler", 0.999) == pytest.approx((0.75, 0.25, 0))
    once, twice, _ = ens_weights(counts, 0.999)
    share = 900 * once / (900 * once + 100 * twice)
    assert effective_prior(counts, "loss", 0.999) == pytest.approx((share, 1 - share, 0))
    share = 30 * once / (30 * once + 10 * twice)
    assert effective_prior(counts, "dual", 0.999) == pytest.approx((share, 1 - share, 0))


def test_balanced_softmax_and_a_head_fitted_anew_answer_as_balanced_training_does() -> None:
    counts = [900, 100, 0]
    assert effective_prior(counts, "balanced-softmax", 0.999) == pytest.approx((0.5, 0.5, 0))
    assert effective_prior(counts, "refit", 0.999) == effective_prior(counts, "dual", 0.999)
    assert log_prior(counts) == pytest.approx([math.log(0.9), math.log(0.1), math.log(0.001)])


def test_dual_weighting_is_balanced_training() -> None:
    """From the counts of the paper's data: nevi are 35 % of the images, and 7 % of the loss."""
    counts = list(TABLE_1.values())
    prior = dict(zip(TABLE_1, effective_prior(counts, "dual", 0.999), strict=True))
    assert counts[9] / sum(counts) > 0.34 and prior["Melanocytic nevi"] < 0.15
    assert max(prior.values()) < 4 * min(prior.values())
