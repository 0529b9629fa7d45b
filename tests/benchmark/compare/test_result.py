import pytest

from lesionlite.benchmark.compare.result import (
    Entry,
    File,
    Score,
    front,
    margin,
    over_seeds,
    recommend,
    with_fronts,
)
from lesionlite.benchmark.compare.trials import VALIDATION


def file(ms: float | None, status: str = "pass", size: int = 1_000_000) -> File:
    return File("f.tflite", "tflite", "fp32", status, "", 0.7, 1.0, size, ms, 0.01)


def entry(
    value: str, mean: float, spread: float | None, ms: float | None, status: str = "pass"
) -> Entry:
    seeds = 1 if spread is None else 3
    scores = {VALIDATION: Score(mean, spread)}
    return Entry(value, value, 64, seeds, scores, f"{value}-0", 1, 1, (file(ms, status),))


def test_scores_over_seeds() -> None:
    scores = over_seeds([{"F1": 0.5}, {"F1": 0.7}])
    assert scores["F1"].mean == pytest.approx(0.6)
    assert scores["F1"].spread == pytest.approx(0.1 * 2**0.5)
    assert over_seeds([{"F1": 0.8}]) == {"F1": Score(0.8, None)}


def test_the_front_has_no_dominated_point() -> None:
    points = [(1.0, 0.5), (2.0, 0.7), (2.0, 0.6), (3.0, 0.7), (4.0, 0.9), (1.0, 0.5)]
    assert front(points) == [True, True, False, False, True, True]


def test_fronts_are_marked_per_format_and_only_on_passing_files() -> None:
    marked = with_fronts(
        [
            entry("slow", 0.8, None, 9.0),
            entry("fast", 0.7, None, 1.0),
            entry("bad", 0.6, None, 2.0),
            entry("wrong", 0.9, None, 0.5, "fail"),
            entry("untimed", 0.75, None, None),
        ]
    )
    found = {e.value: (e.files[0].best_for_time, e.files[0].best_for_size) for e in marked}
    assert found == {
        "slow": (True, True),
        "fast": (True, False),
        "bad": (False, False),
        "wrong": (False, False),
        "untimed": (False, False),
    }


def test_the_margin_is_of_seeds_or_else_of_images() -> None:
    a, b = entry("a", 0.7, 0.03, 1.0), entry("b", 0.7, 0.04, 1.0)
    assert margin(a, b, 900) == pytest.approx(2 * 0.05 / 3**0.5)
    one = entry("c", 0.5, None, 1.0)
    assert margin(one, one, 100) == pytest.approx(2 * (2 * 0.25 / 100) ** 0.5)


def test_the_fastest_of_those_that_cannot_be_told_apart_is_recommended() -> None:
    best, near, far = (
        entry("best", 0.80, 0.01, 9.0),
        entry("near", 0.79, 0.01, 3.0),
        entry("far", 0.60, 0.01, 1.0),
    )
    words = recommend([best, near, far], 900)
    assert words[0].startswith("Take near: weighted F1 0.790 ± 0.010 on validation, 3.00 ms")
    assert words[1].startswith("best scores more") and "below 0.016" in words[1]
    assert words[2].startswith("Where speed counts more, far is 3.0 times as fast")
    assert recommend([best, far], 900)[0].startswith("Take best")
    alike = entry("alike", 0.785, 0.01, 2.9)
    assert recommend([best, alike, near], 900)[0].startswith("Take near")


def test_what_does_not_pass_is_not_recommended() -> None:
    good, bad = entry("good", 0.7, None, 9.0), entry("bad", 0.9, None, 1.0, "fail")
    words = recommend([good, bad], 900)
    assert words[0].startswith("Take good") and words[-1].startswith("With one seed")
    assert recommend([bad], 900) == ["Take none: no file passes."]
