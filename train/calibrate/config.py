"""The settings of an operating point, as one frozen record."""

from dataclasses import dataclass
from typing import Protocol

from lesionlite.metrics import Metric
from lesionlite.settings import refuse_settings, refuse_types


class Doubt(Protocol):
    """The settings that a training and an adjustment share."""

    @property
    def coverage(self) -> float:
        """Share of validation images that get an answer."""

    @property
    def false_rejections(self) -> float:
        """Share of validation images that may be called another kind."""


def doubt_rules(asked: Doubt) -> tuple[tuple[str, bool, str], ...]:
    """What `refuse_settings` takes, for the settings of `Doubt`."""
    share = asked.false_rejections
    return (
        ("coverage", 0 < asked.coverage <= 1, "above 0, at most 1"),
        ("false_rejections", 0 <= share <= 0.5, "from 0 (reject nothing) to 0.5"),
    )


@dataclass(frozen=True)
class AdjustConfig:
    """How to choose an operating point."""

    target_prior: str = "data"
    """How frequent classes are where the network will answer: as in the training images (data), all
    alike (uniform), or as a JSON FILE says: {"label": share, ...}."""
    tau: float | None = None
    """How far to go from training's prior (0) to the target (1); by default, the value
    nearest to 0 that scores as well on the validation images as the best, within one standard
    error."""
    metric: Metric = "weighted_f1"
    """The score that chooses tau."""
    min_recall: tuple[str, ...] = ()
    """Floors of recall on the validation images, which the choice keeps: LABEL=RECALL, such as
    Melanoma=0.6."""
    coverage: float = 0.9
    """Share of validation images that get an answer; for the rest, apps say "not sure"."""
    false_rejections: float = 0.02
    """Share of validation images that may be called another kind than the network has learned; 0
    rejects nothing."""
    skip_bad: bool = False
    """Leave out images that cannot be decoded, instead of stopping."""

    def __post_init__(self) -> None:
        """Check types and ranges.

        Raises:
            LesionliteError: a setting is wrong; names it, its value and what it may be.
        """
        refuse_types(self)
        tau_fits = self.tau is None or -5 <= self.tau <= 5
        rules = (
            ("tau", tau_fits, "from -5 to 5"),
            *doubt_rules(self),
            ("min_recall", self.tau is None or not self.min_recall, "left out if --tau is given"),
        )
        refuse_settings(self, rules)
