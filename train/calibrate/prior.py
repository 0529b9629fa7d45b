"""How frequent classes were in training, and how frequent they will be in use."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.contract import Contract
from lesionlite.documents import read_record
from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.layout import SETTINGS
from lesionlite.train.config import TrainConfig
from lesionlite.train.objective.imbalance import effective_prior


def trained_prior(run: Path, settings: Mapping[str, Any], contract: Contract) -> Sequence[float]:
    """Training's prior [C]: the contract's, or for runs of older versions that of their settings.

    Raises:
        LesionliteError: neither tells.
    """
    if contract.prior:
        return contract.prior
    counts = training_counts(settings, contract.labels)
    if not counts:
        raise LesionliteError(
            f"{run / SETTINGS} does not tell how many images of each class the run was trained on "
            "(it has no counts), so nobody knows for how frequent classes it answers; train anew"
        )
    imbalance = settings.get("imbalance", TrainConfig().imbalance)
    return effective_prior(counts, imbalance, training_beta(settings))


def training_counts(settings: Mapping[str, Any], labels: tuple[str, ...]) -> list[int] | None:
    """Training images per class [C] of a train.json, or None if it does not tell."""
    counts = settings.get("counts") or {}
    ordered = [counts.get(label, 0) for label in labels]
    return ordered if any(ordered) else None


def training_beta(settings: Mapping[str, Any]) -> float:
    """Beta of the loss weights of a train.json; the default if it does not tell."""
    beta = settings.get("beta")
    return TrainConfig().beta if beta is None else float(beta)


def target_prior(
    name: str, run: Path, settings: Mapping[str, Any], labels: tuple[str, ...]
) -> list[float]:
    """The target prior [C].

    Args:
        name: "data", "uniform", or the path of a JSON file.
        run: the run, named in errors.
        settings: the run's train.json.
        labels: [C].

    Raises:
        LesionliteError: no such choice, or shares that do not fit the labels.
    """
    if name == "uniform":
        return [1 / len(labels)] * len(labels)
    if name == "data":
        counts = training_counts(settings, labels)
        if not counts:
            raise LesionliteError(
                f"{run / SETTINGS} has no counts of the training images; give --target-prior "
                "uniform or a FILE"
            )
        shares = dict(zip(labels, map(float, counts), strict=True))
    else:
        if not Path(name).is_file():
            raise unknown_choice("target prior", name, ("data", "uniform", "a JSON FILE"))
        shares = read_record(Path(name), dict[str, float], advice='write {"label": share, ...}')
        if strangers := sorted(set(shares) ^ set(labels)):
            raise LesionliteError(
                f"{name} must have one share for each label of the run; {strangers[0]!r} is "
                f"{'not one' if strangers[0] in shares else 'missing'}; the labels are: "
                f"{', '.join(labels)}"
            )
    total = sum(shares.values())
    if not math.isfinite(total) or total <= 0 or min(shares.values()) < 0:
        raise LesionliteError(f"the shares of --target-prior {name} must be 0 or more, not all 0")
    return [shares[label] / total for label in labels]


def log_ratio(target: Sequence[float], prior: Sequence[float]) -> NDArray[np.float64]:
    """log(target / prior) [C], about a mean of 0; 0 for a class that either of them lacks."""
    both = np.asarray(target, np.float64), np.asarray(prior, np.float64)
    known = (both[0] > 0) & (both[1] > 0)
    ratio = np.log(np.where(known, both[0], 1)) - np.log(np.where(known, both[1], 1))
    return np.where(known, ratio - ratio[known].mean(), 0.0)
