"""Named training settings, which `train --help` explains. Each run saves its recipe's name.

Each recipe is a class. A config refuses another recipe's name, so name and settings always match.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lesionlite.errors import unknown_choice
from lesionlite.train.config import TrainConfig
from lesionlite.train.objective.imbalance import Imbalance


@dataclass(frozen=True)
class AuthorsConfig(TrainConfig):
    """Some settings of the authors' published code, which differ from their article.

    Batch, rate, resizing, images per epoch and largest rotation are theirs. Normalization, warm-up,
    clipping, weight decay, crop ratio, flips, hue and the order of rotation and crop are ours.
    """

    recipe: str = "like-authors"
    resize: Literal["squash", "shortest"] = "shortest"
    resize_side: int = 292
    batch: int = 32
    lr: float = 3e-4
    draws: float = 1.5
    rotation: float = 15.0


@dataclass(frozen=True)
class RecommendedConfig(TrainConfig):
    """The settings that scored best on real images; docs/results.md shows what each one does."""

    recipe: str = "recommended"
    batch: int = 32
    lr: float = 1.5e-3
    imbalance: Imbalance = "sampler"
    rotation: float = 15.0


@dataclass(frozen=True)
class DemoConfig(TrainConfig):
    """A small network trained from scratch in minutes on two cores."""

    recipe: str = "demo"
    model: str = "mobilevitv2_050"
    weights: str = "none"
    side: int = 128
    epochs: int = 12
    batch: int = 16
    lr: float = 2e-3
    patience: int = 12


RECIPES: dict[str, type[TrainConfig]] = {
    kind.recipe: kind for kind in (TrainConfig, AuthorsConfig, RecommendedConfig, DemoConfig)
}


def recipe(name: str) -> TrainConfig:
    """The settings of a recipe; change some with `dataclasses.replace`.

    Raises:
        LesionliteError: if there is no recipe of that name; the error lists them.
    """
    return with_changes(name, {})


def with_changes(name: str, changes: Mapping[str, Any]) -> TrainConfig:
    """The settings of a recipe with some of them changed.

    Raises:
        LesionliteError: if there is no recipe of that name, or a value is out of range.
    """
    if not isinstance(name, str) or name not in RECIPES:
        raise unknown_choice("recipe", name, RECIPES)
    return RECIPES[name](**changes)
