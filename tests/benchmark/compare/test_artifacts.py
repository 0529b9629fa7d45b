from pathlib import Path

import pytest

from lesionlite.benchmark.compare import artifacts
from lesionlite.benchmark.compare.artifacts import CHECKS, check_networks
from lesionlite.benchmark.compare.config import CompareConfig
from lesionlite.benchmark.compare.trials import plan_trials
from lesionlite.export.check.attempt import ABSENT, CRASHED, REFUSED, RIGHT, WRONG, Converted
from lesionlite.export.check.network import NetworkCheck
from lesionlite.outputs import writing_into
from tests.conftest import TINY


def test_networks_are_checked_once_and_all_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    outcomes = {"onnx": RIGHT, "tflite": CRASHED, "coreml": WRONG, "executorch": REFUSED}

    def check(model: str, side: int, pairs: list[tuple[str, str]]) -> NetworkCheck:
        asked.append(model)
        rows = [Converted(*pair, outcomes.get(pair[0], ABSENT), sentence="why") for pair in pairs]
        return NetworkCheck(model, side, 1, 1, {}, {}, tuple(rows))

    monkeypatch.setattr(artifacts, "check_apart", check)
    config = CompareConfig(models=("mobilevitv2_050", "resnet18"), seeds=2)
    trials = plan_trials(config, TINY, tmp_path)
    for _ in range(2):
        with writing_into(tmp_path):
            assert check_networks(trials, config, tmp_path) == {
                "mobilevitv2_050": [],  # its form is proven
                "resnet18": ["tflite: why", "coreml: why", "executorch: why"],
            }
    assert asked == ["resnet18"]
    (tmp_path / CHECKS).unlink()
    check_networks(trials, config, tmp_path)
    assert asked == ["resnet18", "resnet18"]
