from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from lesionlite import cli
from lesionlite.errors import LesionliteError
from lesionlite.flags import switches
from lesionlite.train.augment import EpochSampler
from lesionlite.train.config import TrainConfig
from lesionlite.train.data.splits import Split
from lesionlite.train.recipes import RECIPES, recipe


def test_the_papers_settings() -> None:
    paper = recipe("paper")
    assert paper == TrainConfig()
    assert (paper.batch, paper.lr, paper.epochs) == (100, 3e-3, 60)
    assert paper.contract(("a", "b")).side == 256
    assert paper.imbalance == "dual" and paper.beta == 0.999 and paper.clip > 0
    authors = recipe("like-authors")
    assert (authors.lr, authors.batch, authors.weight_decay) == (3e-4, 32, 0.05)
    own = authors.contract(("a", "b"))
    assert (own.resize, own.resize_side, own.side) == ("shortest", 292, 256)
    assert (authors.draws, authors.crop, authors.rotation) == (1.5, 0.7, 15)


def test_recipes_are_frozen_and_named() -> None:
    for name, kind in RECIPES.items():
        config = recipe(name)
        assert config.recipe == name and type(config) is kind
        assert switches(kind) == switches(TrainConfig)  # else a flag's name would depend on it
        with pytest.raises(FrozenInstanceError):
            config.lr = 1.0  # type: ignore[misc]
    with pytest.raises(LesionliteError, match="no recipe 'papre' .did you mean 'paper'"):
        recipe("papre")


def test_flags_override_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "data", "--out", "run", "--recipe", "like-authors", "--lr", "0.01"]
    config = cli._parse(command).config  # type: ignore[attr-defined]
    assert config == replace(recipe("like-authors"), lr=0.01)
    plain = cli._parse(["train", "data", "--out", "run"])
    assert plain.config == recipe("paper")  # type: ignore[attr-defined]
    demo = cli._parse(["build", "--epochs", "1"])
    assert demo.training == replace(recipe("demo"), epochs=1)  # type: ignore[attr-defined]
    other = cli._parse(["build", "--recipe=like-authors"])
    assert other.training == recipe("like-authors")  # type: ignore[attr-defined]
    assert cli.main(["train", "data", "--out", "run", "--recipe", "best"]) == 2
    assert "choose from: paper, like-authors, recommended, demo" in capsys.readouterr().err


def test_help_explains_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli._parse(["train", "--help"])
    said = capsys.readouterr().out
    assert all(f"{name}:" in said for name in RECIPES)


def test_a_flag_that_repeats_the_papers_setting_still_changes_a_recipe() -> None:
    command = ["train", "data", "--out", "run", "--recipe", "demo", "--side", "256", "--no-cache"]
    config = cli._parse(command).config  # type: ignore[attr-defined]
    assert config == replace(recipe("demo"), side=256, cache=False)


def test_the_last_recipe_counts_and_a_value_after_two_dashes_is_none() -> None:
    last = cli._parse(["train", "x", "--out", "y", "--recipe", "demo", "--recipe=like-authors"])
    assert last.config == recipe("like-authors")  # type: ignore[attr-defined]
    plain = cli._parse(["build", "--", "--recipe"])
    assert plain.data == Path("--recipe")  # type: ignore[attr-defined]
    assert plain.training == recipe("paper")  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["like-authors", "demo", "best", 3])
def test_no_settings_bear_the_name_of_another_recipe(name: str) -> None:
    with pytest.raises(LesionliteError, match=r"--recipe is .*; it must be"):
        TrainConfig(recipe=name)
    with pytest.raises(LesionliteError, match=r"--recipe is .*; it must be"):
        replace(recipe("recommended"), recipe=name)
    assert replace(recipe("like-authors"), lr=0.1).recipe == "like-authors"


def test_an_epoch_may_be_longer_and_all_images_alike() -> None:
    split = Split(tuple(Path(str(i)) for i in range(1000)), (0,) * 900 + (1,) * 100, ("a", "b"))
    sampler = EpochSampler(split, 0, weigh=False, draws=1.5)
    assert len(list(sampler)) == len(sampler) == 1500
    rare = sum(split.targets[i] for i, _ in sampler)
    assert rare == pytest.approx(150, abs=40)  # as many as there are: 10 %, not a quarter
