import math

import numpy as np
import pytest
from scipy.special import softmax

from lesionlite.contract import Contract
from lesionlite.train.calibrate.confidence import (
    MAX_TEMPERATURE,
    MAX_THRESHOLD,
    MIN_TEMPERATURE,
    fit_confidence,
    fit_temperature,
)

Case = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def overconfident() -> Case:
    """Logits that are three times too large for how often they are right."""
    generator = np.random.default_rng(0)
    honest = generator.normal(size=(4000, 5)) * 2
    drawn = (softmax(honest, axis=1).cumsum(1) > generator.random((4000, 1))).argmax(1)
    return 3 * honest, drawn


def test_the_temperature_that_was_put_in_is_found(overconfident: Case) -> None:
    logits, truth = overconfident
    assert fit_temperature(logits, truth) == pytest.approx(3, rel=0.05)
    assert fit_temperature(logits / 3, truth) == pytest.approx(1, rel=0.05)
    found = fit_confidence(logits, truth, 0.9)
    assert found.calibration_error_before > 0.1 > 0.03 > found.calibration_error


def test_too_easy_a_set_has_a_bounded_temperature() -> None:
    assert fit_temperature(np.eye(4) * 2, np.arange(4)) == pytest.approx(MIN_TEMPERATURE, rel=0.01)
    assert fit_temperature(np.eye(4) * 2, np.arange(4) - 1) == pytest.approx(
        MAX_TEMPERATURE, rel=0.01
    )


@pytest.mark.parametrize("coverage", [0.5, 0.9, 1.0])
def test_the_threshold_leaves_the_coverage_asked_for(overconfident: Case, coverage: float) -> None:
    found = fit_confidence(*overconfident, coverage)
    assert found.coverage == pytest.approx(coverage, abs=0.01) and found.coverage >= coverage
    assert found.accuracy >= found.accuracy_of_all
    assert (found.accuracy > found.accuracy_of_all + 0.1) == (coverage == 0.5)
    assert f"leaves {found.coverage:.0%}" in found.sentence()


@pytest.mark.parametrize("coverage", [0.001, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("images", [1, 2, 16])
@pytest.mark.parametrize("scale", [0.0, 1.0, 15.0, 100.0, 1e30])
def test_every_finite_answer_makes_a_valid_contract(
    scale: float, images: int, coverage: float
) -> None:
    truth = np.arange(images) % 2
    logits = (scale * np.eye(2)[truth]).astype(np.float32)
    for answers in (logits, -logits, logits.astype(np.float64)):
        found = fit_confidence(answers, truth, coverage)
        assert all(math.isfinite(value) for value in found.document().values())
        assert found.coverage >= coverage and 0 <= found.unsure_below < 1
        Contract(("a", "b"), temperature=found.temperature, unsure_below=found.unsure_below)


def test_a_perfect_network_is_asked_for_less_than_certainty() -> None:
    truth = np.array([0, 1] * 8)
    found = fit_confidence(np.float32(40 * np.eye(2)[truth]), truth, 1.0)
    assert found.unsure_below == MAX_THRESHOLD and found.accuracy == found.coverage == 1


def test_a_double_just_below_a_step_still_gets_an_answer() -> None:
    found = fit_confidence(np.log(np.array([[0.7, 0.3 - 1e-17]])), np.array([1]), 1.0)
    assert found.coverage == 1 and np.isfinite(found.accuracy)
