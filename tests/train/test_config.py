"""Every number of the settings of training: of its type, finite, in range."""

from dataclasses import fields

import pytest

from lesionlite import cli
from lesionlite.benchmark.config import RARE_FLAGS as RARE_BENCHMARK_FLAGS
from lesionlite.contract import MAX_SIDE
from lesionlite.errors import LesionliteError
from lesionlite.export.config import RARE_FLAGS as RARE_EXPORT_FLAGS
from lesionlite.train.config import RARE_FLAGS, TrainConfig
from lesionlite.train.recipes import RECIPES, recipe

NUMBERS = [f.name for f in fields(TrainConfig) if type(f.default) in (int, float)]


@pytest.mark.parametrize("name", NUMBERS)
def test_no_number_may_be_absurd(name: str) -> None:
    flag = "--" + name.replace("_", "-")
    for value in (float("nan"), float("inf"), -float("inf"), "1", None, -(10**400), -7):
        with pytest.raises(LesionliteError, match=f"^{flag} is "):
            TrainConfig(**{name: value})  # type: ignore[arg-type]
    if name not in ("lr", "weight_decay", "clip", "patience"):  # those fill no memory
        with pytest.raises(LesionliteError, match=f"^{flag} is "):
            TrainConfig(**{name: 10**30})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"side": 100_000}, "0, or from 32 to 1024 (a phone's memory holds no more)"),
        ({"side": 24}, "0, or from 32 to 1024"),
        ({"mean": (0.5,)}, "three numbers, for red, green and blue"),
        ({"std": (0.5, 0.0, 0.5)}, "three numbers above 0"),
        ({"side": 160, "resize": "shortest", "resize_side": 128}, "it must be 0, or from 160"),
        ({"resize": "shortest", "resize_side": 9999}, "0, or from 32 to 4096"),
        ({"resize_side": 292}, "0 with --resize squash"),
        ({"resize": "stretch"}, "--resize is"),
        ({"epochs": 10**9}, "from 0 to 100000"),
        ({"batch": 10**9}, "--batch is 1000000000; it must be from 2 (BatchNorm needs company)"),
        ({"workers": 10**6}, "from -1 to 1024"),
        ({"seed": 2**64}, "--seed is 18446744073709551616"),
        ({"batch": 2.5}, "--batch is 2.5; it must be a whole number"),
        ({"cache": 1}, "--cache is 1; it must be true or false"),
    ],
)
def test_settings_are_refused_with_their_reason(change: dict[str, object], said: str) -> None:
    with pytest.raises(LesionliteError) as caught:
        TrainConfig(**change)  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_what_the_settings_allow_is_a_contract() -> None:
    for config in (*map(recipe, RECIPES), TrainConfig(side=MAX_SIDE), TrainConfig(side=32)):
        assert config.contract(("a", "b")).side == (config.side or 256)


def test_help_of_a_flag_that_switches_off_reads_after_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli._parse(["train", "--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--no-cache Decode training images in every epoch" in said
    assert (
        "--no-weights-ema If the FILE of --weights holds both weights and their moving average"
        in said
    )


def test_help_shows_the_common_flags_first(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("train", "profile", "build"):
        with pytest.raises(SystemExit):
            cli._parse([command, "--help"])
        said = capsys.readouterr().out
        rare = said.index(" image size ")
        assert all(said.index(f"--{name} ") < rare for name in ("recipe", "epochs", "batch", "lr"))
        for names in RARE_FLAGS.values():
            for name in names:
                assert said.index(f"{name.replace('_', '-')} ", rare) > rare


@pytest.mark.parametrize(
    ("command", "common", "groups"),
    [
        ("export", ("formats", "precisions"), RARE_EXPORT_FLAGS),
        ("benchmark", ("threads", "queries", "seconds"), RARE_BENCHMARK_FLAGS),
    ],
)
def test_help_shows_rare_flags_in_groups(
    capsys: pytest.CaptureFixture[str],
    command: str,
    common: tuple[str, ...],
    groups: dict[str, tuple[str, ...]],
) -> None:
    with pytest.raises(SystemExit):
        cli._parse([command, "--help"])
    said = capsys.readouterr().out
    rare = min(said.index(f" {title} ") for title in groups)
    assert all(said.index(f"--{name} ") < rare for name in common)
    for title, names in groups.items():
        for name in names:
            assert said.index(f"--{name.replace('_', '-')}") > said.index(f" {title} ")
