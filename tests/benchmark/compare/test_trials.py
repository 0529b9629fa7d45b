from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lesionlite.benchmark.compare.command import Compare
from lesionlite.benchmark.compare.config import CompareConfig
from lesionlite.benchmark.compare.trials import plan_trials
from lesionlite.errors import LesionliteError
from lesionlite.flags import read_flags
from tests.conftest import TINY

OUT = Path("out")


def varied(setting: str, *values: str, seeds: int = 1) -> CompareConfig:
    return CompareConfig(vary=setting, values=values, seeds=seeds)


def test_a_plan_varies_one_setting_and_the_seed() -> None:
    plan = plan_trials(varied("label_smoothing", "0", "0.1", seeds=2), TINY, OUT)
    assert [trial.folder.name for trial in plan] == ["0-0", "0.1-0", "0-1", "0.1-1"]
    assert [trial.config.label_smoothing for trial in plan] == [0, 0.1, 0, 0.1]
    assert [trial.config.seed for trial in plan] == [0, 0, 1, 1]
    plan = plan_trials(CompareConfig(models=("resnet18", "mobilevitv2_050"), seeds=1), TINY, OUT)
    assert [trial.config.model for trial in plan] == ["resnet18", "mobilevitv2_050"]
    assert {repr({**asdict(trial.config), "model": ""}) for trial in plan} == {
        repr({**asdict(TINY), "model": ""})
    }


@pytest.mark.parametrize(
    ("config", "change", "words"),
    [
        (varied("imbalanc", "none"), {}, "did you mean 'imbalance'"),
        (varied("imbalance", "often"), {}, "'often'; choose from: dual, sampler"),
        (varied("seed", "1", "2"), {}, "there is no setting 'seed'"),
        (varied("recipe", "paper", "like-authors"), {}, "there is no setting 'recipe'"),
        (varied("device", "cpu", "cuda"), {}, "there is no setting 'device'"),
        (varied("ema", "0.9", "0.90"), {}, "0.9 and 0.90 are the same --ema"),
        (varied("weights", "a/b", "a_b"), {}, "two values have the same folder"),
        (CompareConfig(models=("resnet18", "mobilevitv2_050")), {"side": 0}, "sides differ"),
        (CompareConfig(models=("resnet18", "nonet")), {}, "timm has no model 'nonet'"),
        (CompareConfig(models=("resnet18", "starnet_s1")), {"weights": "a"}, "of one network"),
        (CompareConfig(models=("resnet18", "ghostnet_050")), {"weights": "timm"}, "ghostnet_050"),
    ],
)
def test_an_unfair_comparison_is_refused(
    config: CompareConfig, change: dict[str, object], words: str
) -> None:
    with pytest.raises(LesionliteError) as caught:
        plan_trials(config, replace(TINY, **change), OUT)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("d", "name what to compare"),
        ("d --models a --vary ema --values 0", "not both"),
        ("d --vary ema", "--vary ema needs --values"),
        ("d --models a --values b", "--values belongs to --vary"),
        ("d --models a --model b", "--models names it; leave --model out"),
        ("d --vary ema --values 0 0.9 --ema 0.5", "--vary ema changes it; leave --ema out"),
        ("d --models a --seed 3", "--seed is set by --seeds"),
        ("d --models a --seeds 0", "--seeds is 0"),
        ("d --models a --jobs 0", "--jobs is 0"),
        ("d --models a --seconds -1", "--seconds is -1"),
        ("d --models a --formats onx", "did you mean 'onnx'?"),
    ],
)
def test_wrong_flags_are_told_in_one_sentence(line: str, words: str) -> None:
    with pytest.raises(LesionliteError) as caught:
        read_flags(Compare, line.split(), "lesionlite compare")
    assert words in str(caught.value) and "\n" not in str(caught.value)
