from dataclasses import replace

import numpy as np
import pytest

from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.parity import (
    MOST_CHANGED,
    Parity,
    compare,
    judge,
    not_finite,
    recall_floor,
    too_few,
)
from lesionlite.benchmark.statistics import Interval
from lesionlite.errors import LesionliteError
from lesionlite.export.precision import PRECISIONS

LABELS = ("a", "b", "c")
TRUTH = np.array([0, 1, 2] * 100)
NAMES = tuple(f"{i}.png" for i in range(300))


def probabilities(answers: np.ndarray, sure: float = 0.8) -> np.ndarray:
    rest = (1 - sure) / 2
    return np.where(np.eye(3)[answers] == 1, sure, rest).astype(np.float32)


def compared(answers: np.ndarray, before: np.ndarray = TRUTH) -> Parity:
    return compare(probabilities(answers), probabilities(before), TRUTH, LABELS, NAMES)


def judged(parity: Parity, precision: str = "w8a8", **settings: object) -> tuple[bool, str]:
    config = BenchmarkConfig(**settings)  # type: ignore[arg-type]
    return judge(parity, PRECISIONS[precision], config)


@pytest.mark.parametrize(("flipped", "good"), [(9, True), (10, False)])
def test_a_file_must_reject_what_pytorch_rejects(flipped: int, good: bool) -> None:
    """Of 300 images 3 %, which is what the answers of w8a8 may change by."""
    same = probabilities(TRUTH)
    calls = iter([np.arange(300) < 20 + flipped, np.arange(300) < 20])
    parity = compare(same, same, TRUTH, LABELS, NAMES, lambda _: next(calls))
    assert parity.rejection_agreement == pytest.approx(1 - flipped / 300)
    passes, reason = judged(parity)
    assert passes == good and ("are still rejected, or still kept" in reason) != good
    assert compared(TRUTH).rejection_agreement is None


@pytest.fixture
def six_wrong() -> Parity:
    """As the truth but for six answers: two in each class."""
    wrong = TRUTH.copy()
    wrong[:6] = (TRUTH[:6] + 1) % 3
    return compared(wrong)


def test_the_gate_judges_both_f1_and_agreement(six_wrong: Parity) -> None:
    assert judged(compared(TRUTH), "fp32") == (True, "")
    assert six_wrong.delta_weighted_f1 == pytest.approx(-0.02, abs=2e-3)
    assert six_wrong.top1_agreement == pytest.approx(0.98)
    good, reason = judged(six_wrong)
    assert not good and "more than 0.01 (6 of 300 answers changed)" in reason
    assert "weighted F1 fell" in reason and "stayed" not in reason
    assert judged(six_wrong, max_f1_loss=0.05)[0]
    # Wrong answers that change to other wrong answers: F1 stays, agreement does not.
    parity = compared((TRUTH + 2) % 3, (TRUTH + 1) % 3)
    assert parity.delta_weighted_f1 == 0 and parity.top1_agreement == 0
    assert "answers stayed" in judged(parity)[1]


def test_the_interval_is_a_stricter_gate(six_wrong: Parity) -> None:
    assert judged(six_wrong, max_f1_loss=0.03) == (True, "")
    assert -0.05 < six_wrong.delta_interval.low < -0.03
    assert "(95 %), more than 0.03" in judged(six_wrong, max_f1_loss=0.03, gate="interval")[1]
    narrow = replace(six_wrong, delta_interval=Interval(-0.025, -0.015))
    assert judged(narrow, max_f1_loss=0.03, gate="interval") == (True, "")


def test_the_gate_judges_a_class_where_asked(six_wrong: Parity) -> None:
    assert six_wrong.delta_recall == pytest.approx(dict.fromkeys(LABELS, -0.02))
    assert judged(six_wrong, max_f1_loss=1.0, min_recall=("b=-0.03",))[0]
    reason = judged(six_wrong, max_f1_loss=1.0, min_recall=("a=-0.03", "b=-0.01"))[1]
    assert reason == "recall of b changed by -0.0200, below -0.0100"


def test_each_class_has_a_floor_that_is_wide_for_few_images() -> None:
    config = BenchmarkConfig()
    floors = [recall_floor(n, 13, PRECISIONS["w8a8"], config) for n in (5, 28, 100, 800)]
    assert floors == pytest.approx([-0.3165, -0.1151, -0.0612, -0.0269], abs=1e-4)
    assert recall_floor(10, 13, PRECISIONS["fp32"], config) == -1 / 10  # one answer
    assert recall_floor(100, 13, PRECISIONS["w8a8"], BenchmarkConfig(max_f1_loss=1)) < -1


def test_one_of_twenty_files_that_lose_what_is_tolerated_fails_by_chance() -> None:
    """Whatever the number of classes: here 13, and answers change as often as they may."""
    rng = np.random.default_rng(0)
    supports = [800, 130, 60, 30, 30, 25, 18, 18, 15, 15, 14, 11, 60]
    config, precision = BenchmarkConfig(), PRECISIONS["w8a8"]
    floors = [recall_floor(n, len(supports), precision, config) for n in supports]
    share = (1 - precision.min_agreement) / 2  # that became wrong, and that became right
    changes = [
        (rng.binomial(n, share, 4000) - rng.binomial(n, share + precision.max_f1_loss, 4000)) / n
        for n in supports
    ]
    fails = np.any([c < floor - 1e-9 for c, floor in zip(changes, floors, strict=True)], axis=0)
    assert 0.01 < fails.mean() < 0.12


def test_a_rare_class_that_is_lost_fails_where_weighted_f1_and_agreement_pass() -> None:
    truth = np.array([0] * 900 + [1] * 70 + [2] * 30)
    names = tuple(f"{i}.png" for i in range(1000))

    def lost(images: int) -> tuple[bool, str]:
        after = truth.copy()
        after[970 : 970 + images] = 0
        parity = compare(probabilities(after), probabilities(truth), truth, LABELS, names)
        return judged(parity, max_mean_dp=1.0)

    assert lost(2) == (True, "")
    assert lost(3) == (False, "recall of c changed by -0.1000, below -0.0940 for 30 images")


def test_the_gate_judges_confidence(six_wrong: Parity) -> None:
    """A temperature left out changes no answer."""
    reference, flat = probabilities(TRUTH, 0.9), probabilities(TRUTH, 0.6)
    parity = compare(flat, reference, TRUTH, LABELS, NAMES)
    assert parity.top1_agreement == 1 and parity.delta_weighted_f1 == 0
    assert judged(parity)[1] == "probabilities moved by 0.3000 on average, more than 0.03"
    assert judged(parity, max_mean_dp=0.31) == (True, "")


def test_answers_that_became_wrong_and_right_are_counted() -> None:
    before, after = TRUTH.copy(), TRUTH.copy()
    before[:10], after[8:30] = (TRUTH[:10] + 1) % 3, (TRUTH[8:30] + 1) % 3
    parity = compared(after, before)
    assert (parity.became_right, parity.became_wrong) == (8, 20)
    assert 0.02 < parity.mcnemar_p < 0.05


def test_the_images_that_changed_most_come_first() -> None:
    reference = probabilities(TRUTH)
    changed = reference.copy()
    changed[7] = [0.0, 0.3, 0.7]  # truth 1, sure of it before
    changed[100] += [0.01, -0.01, 0.0]
    parity = compare(changed, reference, TRUTH, LABELS, NAMES)
    first, second, *rest = parity.most_changed
    assert (first.image, first.truth, first.before, first.after) == ("7.png", "b", "b", "c")
    assert first.before_probability == pytest.approx(0.8)
    assert first.after_probability == pytest.approx(0.7)
    assert first.max_abs_dp == parity.max_abs_dp == pytest.approx(0.6)
    assert (second.image, second.before, second.after) == ("100.png", "b", "b")
    assert len(rest) == MOST_CHANGED - 2 and rest[0].max_abs_dp == 0
    assert parity.abs_dp == {"mean": pytest.approx(0.61 / 300), "p50": 0, "p90": 0, "p99": 0}


def test_answers_that_are_no_numbers_are_refused() -> None:
    reference = probabilities(TRUTH)
    with pytest.raises(ValueError, match="finite"):
        compare(reference * np.nan, reference, TRUTH, LABELS, NAMES)
    reference[7, 1], reference[9] = np.inf, np.nan
    said = not_finite(reference, NAMES)
    assert said == "2 of 300 answers are not finite numbers, the first is to 7.png"
    assert not_finite(probabilities(TRUTH), NAMES) == ""


@pytest.mark.parametrize(
    ("precision", "enough"),
    [("fp32", 1000), ("fp16", 200), ("w8", 50), ("w8a8", 34), ("w6", 10), ("w4", 10)],
)
def test_one_answer_more_must_be_within_the_tolerance(precision: str, enough: int) -> None:
    config = BenchmarkConfig()
    assert too_few(enough, [precision], config) == ""
    said = too_few(enough - 1, [precision], config)
    assert f"too few to judge {precision}:" in said and f"{enough} or more are needed" in said
    assert too_few(1, ["w4", precision], config).startswith("1 test image is too few")
    # The user's own gate counts; one that allows nothing needs no more images.
    assert too_few(10, [precision], BenchmarkConfig(min_agreement=0.9)) == ""
    assert too_few(1, [precision], BenchmarkConfig(min_agreement=1.0)) == ""


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.1, True, "0.5"])
@pytest.mark.parametrize("gate", ["max_f1_loss", "min_agreement", "max_mean_dp"])
def test_no_gate_can_be_switched_off(gate: str, value: object) -> None:
    with pytest.raises(LesionliteError, match=f"--{gate.replace('_', '-')} is"):
        BenchmarkConfig(**{gate: value})  # type: ignore[arg-type]
