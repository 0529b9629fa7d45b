from pathlib import Path

import numpy as np
import pytest

from lesionlite.benchmark import latency
from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.energy import Energy
from lesionlite.benchmark.latency import MAX_NOISE, p90_bound, summary


class Fake:
    def __init__(self, name: str, turns: list[str]) -> None:
        self.path, self.turns = Path(name), turns

    def burst(self, images: Path, seconds: float) -> list[float]:
        self.turns.append(self.path.name)
        return [1.0, 2.0, 3.0]


def test_candidates_take_turns() -> None:
    turns: list[str] = []
    fakes = [Fake("a", turns), Fake("b", turns)]
    rows = latency.measure(fakes, Path("x"), 9, 0.0, "")
    assert turns == ["a", "b"] * 3
    assert [row.queries for row in rows] == [9, 9] and rows[0].p50 == 2.0
    turns.clear()
    latency.measure(fakes, Path("x"), 1, 0.012, "")
    assert turns == ["a", "b"] * 2


def test_the_bound_holds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    true = -np.log(0.1)  # of an exponential distribution
    bounds = [p90_bound(rng.exponential(size=200)) for _ in range(1000)]
    assert 0.98 <= np.mean([bound is not None and bound >= true for bound in bounds]) <= 1
    # As close as the binomial lets it be: MLPerf's rank for 1024 queries is the 944th or so.
    assert 940 <= p90_bound(list(range(1024))) <= 947  # type: ignore[operator]


def test_few_queries_bound_nothing() -> None:
    assert p90_bound([1.0] * 20) is None
    assert p90_bound([1.0] * 128) == 1.0


def test_noise_is_that_of_the_bursts() -> None:
    steady = summary([[1.0, 5.0, 1.0]] * 8)
    assert steady.noise == 0 and steady.p99 > 4  # an outlier in each is no drift
    drifting = summary([[1.0 + 0.2 * i] * 3 for i in range(8)])
    assert drifting.noise > MAX_NOISE


def test_the_protocols() -> None:
    assert BenchmarkConfig().protocol() == (128, 10.0)
    assert BenchmarkConfig(submission=True).protocol() == (1024, 60.0)
    assert BenchmarkConfig(submission=True, seconds=90).protocol() == (1024, 90)


def test_energy_is_read_where_the_system_tells(tmp_path: Path) -> None:
    assert not Energy(tmp_path).known
    for name, now in (("intel-rapl:0", "900"), ("intel-rapl:1", "5"), ("intel-rapl:0:0", "7")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(now)
        (tmp_path / name / "max_energy_range_uj").write_text("1000")
    energy = Energy(tmp_path)
    before = energy.read()
    assert energy.known and before == [900, 5]  # a subzone is part of its package
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("100")  # wrapped around at 1000
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("25")
    assert energy.since(before) == pytest.approx(220e-6)
