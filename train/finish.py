"""What ends a training: the head is fitted anew if asked for, then temperature and threshold."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lesionlite.console import say
from lesionlite.files import write_text
from lesionlite.layout import CONTRACT, WEIGHTS
from lesionlite.metrics import in_words, weighted_f1
from lesionlite.train.calibrate.calibrate import Calibrated, calibrate
from lesionlite.train.config import TrainConfig
from lesionlite.train.data.images import Pixels
from lesionlite.train.data.splits import Dataset
from lesionlite.train.model import all_logits, load_run, save_weights
from lesionlite.train.objective.imbalance import MODES, effective_prior
from lesionlite.train.objective.refit import refit_head


@dataclass(frozen=True)
class Finished:
    """The end of a training.

    Attributes:
        calibrated: the contract, and what it achieves.
        val_weighted_f1: of the network that is saved, on validation images.
    """

    calibrated: Calibrated
    val_weighted_f1: float


def finish(run: Path, data: Dataset, pixels: Pixels, config: TrainConfig) -> Finished:
    """Complete the best network of a run: its head if asked for, and its contract.

    Begun again after an interruption, it gives the same.

    Args:
        run: the run folder, with weights and contract.
        data: of the training.
        pixels: of the validation images, uint8 [N, S, S, 3].
        config: of the training.
    """
    network, contract = load_run(run)
    targets = data.val.targets
    if MODES[config.imbalance].refits:
        head = refit_head(network, contract, data.train, (pixels, targets), config)
        save_weights(run / WEIGHTS, network)
        say(
            f"head fitted anew, penalty {head.penalty:g}: {in_words(config.select)} "
            f"{head.before:.4f} -> {head.after:.4f} (validation)"
        )
    logits, truth = all_logits(network, pixels, contract), np.asarray(targets)
    prior = effective_prior(data.train.counts(), config.imbalance, config.beta)
    contract = replace(contract, prior=prior)
    found = calibrate(network, contract, pixels, logits, truth, config, data.domains)
    write_text(run / CONTRACT, found.contract.to_json())
    return Finished(found, weighted_f1(truth, logits.argmax(1), len(data.labels)))
