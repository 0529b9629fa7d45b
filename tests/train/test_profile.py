from dataclasses import replace
from pathlib import Path

from lesionlite.train.trials.profile import Rates, profile
from tests.conftest import TINY


def test_three_rates_are_measured(drawn: Path) -> None:
    rates = profile(drawn, replace(TINY, side=32, cache=True), seconds=0.2)
    assert rates.loader > 0 and rates.step > 0 and rates.plain_step is None
    assert rates.both > 0


def test_it_says_how_much_of_the_slower_one_is_left() -> None:
    first, second = Rates(1000.0, 50.0, 48.0, 20.0).sentences()
    assert "both 48: 96% of the slower one" in first and "2.5 times as fast" in second
