"""Loss, optimizer and learning rate schedule."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesionlite.train.config import TrainConfig
from lesionlite.train.model import parameter_groups
from lesionlite.train.ranks import SINGLE, Ranks, all_reduce_sum


def training_loss(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    smoothing: float,
    ranks: Ranks = SINGLE,
) -> tuple[Tensor, float]:
    """Cross entropy, weighted by class, over the batch of all processes.

    A weighted mean divides by the sum of the images' weights. That sum differs between the parts of
    a batch, so the mean of the parts' means is not the mean over the batch. Every process therefore
    divides by the sum over the whole batch. Several processes then compute the gradient that one
    process would compute from the same images (BatchNorm apart, see `ranks.data_parallel`).

    Args:
        logits: float32 [B, C] of this process's part of the batch.
        targets: class indices, int64 [B].
        weights: one for each class [C], or None.
        smoothing: share of the target that is spread evenly over all classes.
        ranks: the processes; all must call this.

    Returns:
        A scalar to call `backward` on: averaged over the processes, its gradient is the batch's.
        And the loss of the whole batch, the same in all processes.
    """
    if ranks.world == 1:
        loss = F.cross_entropy(logits, targets, weights, label_smoothing=smoothing)
        return loss, float(loss.detach())
    loss = F.cross_entropy(logits, targets, weights, label_smoothing=smoothing, reduction="sum")
    weight = logits.new_tensor(len(targets)) if weights is None else weights[targets].sum()
    sums = torch.stack([loss.detach(), weight.to(loss.dtype)])
    total_loss, total_weight = all_reduce_sum(ranks, sums).unbind()
    return loss / total_weight * ranks.world, float(total_loss / total_weight)


def optimizer_of(
    network: nn.Module, config: TrainConfig, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    """AdamW as configured, and its learning rate schedule over `steps` steps."""
    groups = parameter_groups(network, config.weight_decay, config.layer_decay)
    for group in groups:
        group["lr"] = config.lr * group.pop("lr_scale")
    optimizer = torch.optim.AdamW(groups, fused=True)
    factor = cosine_with_warmup(max(1, steps), config.warmup)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def cosine_with_warmup(steps: int, warmup: float) -> Callable[[int], float]:
    """A function of the step: the factor of the learning rate. Linear rise, then cosine to zero.

    Args:
        steps: of the whole training.
        warmup: share of them in which the rate rises.
    """
    warmup_steps = int(steps * warmup)

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        falling = max(1, steps - warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / falling))

    return factor
