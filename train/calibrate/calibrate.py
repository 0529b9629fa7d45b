"""Fit what a contract says of answers to validation images: temperature, thresholds, rejection."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lesionlite.console import say
from lesionlite.contract import Contract
from lesionlite.train.calibrate.confidence import Confidence, fit_confidence
from lesionlite.train.calibrate.config import Doubt
from lesionlite.train.calibrate.rejection_report import RejectionReport, fit_and_measure
from lesionlite.train.data.images import Pixels
from lesionlite.train.data.splits import Domains
from lesionlite.train.model import all_logits, calibrated


@dataclass(frozen=True)
class Calibrated:
    """A contract that is fitted to validation images.

    Attributes:
        contract: what was fitted.
        confidence: what the thresholds achieve.
        rejection: what the rejection achieves; None if there is none.
    """

    contract: Contract
    confidence: Confidence
    rejection: RejectionReport | None

    def document(self) -> dict[str, Any]:
        """The fields for `train.json`."""
        return {
            "confidence": self.confidence.document(),
            "rejection": self.rejection.document() if self.rejection else None,
        }


def calibrate(
    network: nn.Module,
    contract: Contract,
    pixels: Pixels,
    logits: NDArray[np.floating],
    truth: NDArray[np.int64],
    asked: Doubt,
    domains: Domains,
) -> Calibrated:
    """Fit a contract to validation images, and say what that achieves.

    Args:
        network: of the contract.
        contract: its logit adjustment stays.
        pixels: uint8 [N, S, S, 3].
        logits: the network's, [N, C].
        truth: class indices, int64 [N].
        asked: the settings.
        domains: classes by domain.
    """
    shift = np.array(contract.logit_adjustment or (0.0,) * len(contract.labels))
    confidence = fit_confidence(logits, truth, asked.coverage, shift)
    say(confidence.sentence())
    contract = replace(
        contract,
        temperature=confidence.temperature,
        unsure_below=confidence.unsure_below,
        rejection=None,
    )

    def answer(images: Pixels) -> NDArray[np.floating]:
        return calibrated(all_logits(network, images, contract), contract)

    share = asked.false_rejections
    fitted = fit_and_measure(
        pixels, calibrated(logits, contract), truth, contract, answer, share, domains
    )
    if fitted is None:
        if share:
            say(
                f"too few validation images ({len(truth)}) to reject {share:.1%} of them, so "
                'nothing tells "not this kind of image"'
            )
        return Calibrated(contract, confidence, None)
    rejection, report = fitted
    say(report.sentence())
    return Calibrated(replace(contract, rejection=rejection), confidence, report)
