"""Fit the head of a trained network anew, on features that stay as they are.

Features are best learned from images as they occur, or nearly so. A balanced head is best fitted
afterwards (decoupled training with classifier re-training: Kang et al. 2020, arXiv 1910.09217). It
is a logistic regression here, weighted as `--imbalance dual` weights the images of a class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesionlite.console import track
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.metrics import answer_scores
from lesionlite.train.config import TrainConfig
from lesionlite.train.data.images import Pixels, load_inputs
from lesionlite.train.data.splits import Split
from lesionlite.train.model import all_logits
from lesionlite.train.objective.imbalance import effective_prior

PENALTIES = (0.1, 0.01, 1e-3, 1e-4)
"""Of the squared weights; the validation images choose one."""
BIAS_PENALTY = 1e-6  # keeps the bias of a class without images finite
ITERATIONS = 200
CHUNK = 512  # images in memory at once


@dataclass(frozen=True)
class Refitted:
    """The head that was chosen.

    Attributes:
        penalty: of the squared weights.
        before: the score on validation images of the head that training gave.
        after: that of the new head.
    """

    penalty: float
    before: float
    after: float


def head_of(network: Any, name: str) -> nn.Linear:
    """The last layer of a network.

    Raises:
        LesionliteError: It is no linear layer.
    """
    head = network.get_classifier()
    if not isinstance(head, nn.Linear):
        raise LesionliteError(
            f"--imbalance refit fits one linear layer anew, and the last layer of {name} is a "
            f"{type(head).__name__}; choose sampler or balanced-softmax"
        )
    return head


def refit_head(
    network: nn.Module,
    contract: Contract,
    train: Split,
    val: tuple[Pixels, Sequence[int]],
    config: TrainConfig,
) -> Refitted:
    """Replace the weights of a network's head.

    Args:
        network: float32, in evaluation mode.
        contract: of the network.
        train: the images to fit it on.
        val: pixels, uint8 [N, S, S, 3], and class indices [N]; they choose the penalty.
        config: of the training.
    """
    head = head_of(network, config.model)
    starts = range(0, len(train), CHUNK)
    shown = track(starts, "features for the head", len(starts))
    parts = (load_inputs(train.files[at : at + CHUNK], contract) for at in shown)
    features = torch.cat([_features(network, head, part, contract) for part in parts])
    seen = _features(network, head, val[0], contract)
    truth, classes = np.asarray(val[1]), len(train.labels)

    def score(weight: Tensor, bias: Tensor) -> float:
        answers = (seen @ weight.T + bias).argmax(1).numpy()
        return answer_scores(truth, answers, classes)[config.select]

    counts = train.counts()
    per_class = np.array(effective_prior(counts, "dual", config.beta)) / np.maximum(counts, 1)
    weights, targets = torch.from_numpy(per_class[list(train.targets)]), torch.tensor(train.targets)
    before = score(head.weight, head.bias)
    fitted = [fit_head(features, targets, weights, classes, penalty) for penalty in PENALTIES]
    scores = [score(*pair) for pair in fitted]
    best = max(range(len(fitted)), key=lambda index: scores[index])  # of equals, the most penalized
    with torch.no_grad():
        head.weight.copy_(fitted[best][0])
        head.bias.copy_(fitted[best][1])
    return Refitted(PENALTIES[best], before, scores[best])


def _features(network: nn.Module, head: nn.Linear, pixels: Pixels, contract: Contract) -> Tensor:
    """What the head gets for each image, float32 [N, D]."""
    seen: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda _, given: seen.append(given[0].cpu().clone()))
    try:
        all_logits(network, pixels, contract)
    finally:
        handle.remove()
    return torch.cat(seen)


def fit_head(
    features: Tensor, targets: Tensor, weights: Tensor, classes: int, penalty: float
) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression, by L-BFGS from zero.

    Args:
        features: float32 [N, D].
        targets: class indices, int64 [N].
        weights: of each image, float64 [N].
        classes: C.
        penalty: of half the squared weights, of features scaled to a deviation of 1.

    Returns:
        Weight [C, D] and bias [C], float32.
    """
    mean, deviation = features.double().mean(0), features.double().std(0).clamp(min=1e-6)
    scaled = (features - mean) / deviation
    weight = torch.zeros(classes, features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe", tolerance_change=1e-9
    )
    share = weights / weights.sum()

    def closure() -> Tensor:
        solver.zero_grad()
        losses = F.cross_entropy(scaled @ weight.T + bias, targets, reduction="none")
        penalties = penalty * weight.square().sum() + BIAS_PENALTY * bias.square().sum()
        loss = (share * losses).sum() + penalties / 2
        loss.backward()
        return loss

    solver.step(closure)
    unscaled = weight.detach() / deviation
    return unscaled.float(), (bias.detach() - unscaled @ mean).float()
