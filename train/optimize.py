"""What a step of training makes smaller, and how far it goes: loss, optimizer, schedule."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesionlite.train.config import TrainConfig
from lesionlite.train.model import parameter_groups
from lesionlite.train.ranks import ALONE, Ranks, add_up


def training_loss(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    smoothing: float,
    ranks: Ranks = ALONE,
) -> tuple[Tensor, float]:
    """Cross entropy, weighted by class, over the batch of all processes.

    A weighted mean divides by the sum of the images' weights, which differs between the parts of a
    batch: the mean over processes of such means is not the mean over the batch. So the sum of all
    weights is what every process divides by. Processes of the same images then have the gradient
    that one process would have (BatchNorm apart, see `ranks.averaging_gradients`).

    Args:
        logits: float32 [B, C] of this process's part.
        targets: class indices [B].
        weights: one for each class [C], or None.
        smoothing: share of the target that goes to all classes alike.
        ranks: all of them must call this.

    Returns:
        A scalar, the mean of whose gradients over the processes is the batch's, and the batch's
        loss, the same in all processes.
    """
    if ranks.world == 1:
        loss = F.cross_entropy(logits, targets, weights, label_smoothing=smoothing)
        return loss, float(loss.detach())
    loss = F.cross_entropy(logits, targets, weights, label_smoothing=smoothing, reduction="sum")
    weight = logits.new_tensor(len(targets)) if weights is None else weights[targets].sum()
    whole, weight = add_up(ranks, torch.stack([loss.detach(), weight.to(loss.dtype)])).unbind()
    return loss / weight * ranks.world, float(whole / weight)


def optimizer_of(
    network: nn.Module, config: TrainConfig, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    """AdamW as configured, and the schedule of its rates over so many steps."""
    groups = parameter_groups(network, config.weight_decay, config.layer_decay)
    for group in groups:
        group["lr"] = config.lr * group.pop("lr_scale")
    optimizer = torch.optim.AdamW(groups, fused=True)
    factor = cosine_with_warmup(max(1, steps), config.warmup)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def cosine_with_warmup(steps: int, warmup: float) -> Callable[[int], float]:
    """Factor of the learning rate by step: a linear rise, then a cosine to zero."""
    rising = int(steps * warmup)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    return factor
