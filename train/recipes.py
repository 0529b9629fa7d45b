"""Named settings of training: frozen, explained by `train --help`, saved with the run."""

from collections.abc import Sequence

from lesionlite.errors import unknown_choice
from lesionlite.train.config import TrainConfig

RECIPES = {
    config.recipe: config
    for config in (
        TrainConfig(recipe="paper"),
        TrainConfig(
            recipe="authors",
            resize="shortest",
            resize_side=292,
            batch=32,
            lr=3e-4,
            draws=1.5,
            rotation=15.0,
        ),
        TrainConfig(  # docs/results.md has what each difference from the paper's was seen to do
            recipe="recommended",
            batch=32,
            lr=1.5e-3,
            imbalance="sampler",
            rotation=15.0,
        ),
        TrainConfig(
            recipe="demo",
            model="mobilevitv2_050",
            weights="none",
            side=128,
            epochs=12,
            batch=16,
            lr=2e-3,
            patience=12,
        ),
    )
}


def recipe(name: str) -> TrainConfig:
    """The settings of a recipe; `dataclasses.replace` changes some.

    Raises:
        LesionliteError: if there is none of that name; the error lists them.
    """
    if not isinstance(name, str) or name not in RECIPES:
        raise unknown_choice("recipe", name, RECIPES)
    return RECIPES[name]


def named_in(arguments: Sequence[str]) -> str | None:
    """What `--recipe` is given on a command line; the last one counts, as for any flag."""
    named = None
    for index, argument in enumerate(arguments):
        if argument == "--":
            break
        flag, equals, value = argument.partition("=")
        if flag == "--recipe":
            named = value if equals else "".join(arguments[index + 1 : index + 2])
    return named
