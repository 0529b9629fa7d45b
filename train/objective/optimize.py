"""Optimizer and learning rate schedule."""

import math
from collections.abc import Callable

import torch
from torch import nn

from lesionlite.train.config import TrainConfig
from lesionlite.train.model import parameter_groups


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
