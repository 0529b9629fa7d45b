"""Tune what a plan leaves free: where each grid ends, and the bias of each layer in 8 bits.

By gradient descent on the divergence of the answers, through the rounding, which passes gradients
on (learned step sizes: Esser et al. 2020, arXiv 1902.08153, eq. 3 and 5). No labels are needed: the
float network is the teacher. Weights stay as they are, so a plan remains a small text.
"""

import math
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.affine import LEVELS, Affine
from export.plan import Plan
from export.quantized_form import Rounding, quantize
from export.ranges import BATCH
from export.wiring import Wiring
from train.console import track

# Of Adam, at its height: of a scale's logarithm, and of a bias in steps of its layer's grid.
SCALE_RATE, BIAS_RATE = 0.03, 0.1
WARM_UP = 0.1  # share of the steps in which the rate rises; it then falls as a cosine


class LearnedRounding(nn.Module):
    """Rounds to a grid whose scale learns; the zero point stays."""

    zero_point: Tensor

    def __init__(self, grid: Affine) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor([grid.scale]).log())
        self.register_buffer("zero_point", torch.tensor([float(grid.zero_point)]))

    def forward(self, x: Tensor) -> Tensor:
        """Any float shape -> the same."""
        gradient = (LEVELS * x[0].numel()) ** -0.5  # eq. 5's factor, which keeps steps alike
        rounded: Tensor = torch._fake_quantize_learnable_per_tensor_affine(
            x, self.log_scale.exp(), self.zero_point, 0, LEVELS, gradient
        )
        return rounded

    def learned(self) -> Affine:
        """The grid that it has arrived at."""
        return Affine(float(self.log_scale.exp()), int(self.zero_point))


@torch.enable_grad()
def tune(
    form: Any, wiring: Wiring, plan: Plan, images: Tensor, reference: Tensor, steps: int
) -> Plan:
    """The plan with grids and corrections that bring the answers closer to the float form's.

    Args:
        form: the float mobile form.
        wiring: of the form.
        plan: where to start.
        images: uint8 [N, S, S, 3].
        reference: logits of the float form for them, [N, C].
        steps: of gradient descent, each on some of the images.
    """
    model: Any = quantize(form, plan, wiring)
    grids = _connect(model, wiring, plan)
    groups = [{"params": [grid.log_scale], "lr": SCALE_RATE} for grid in grids.values()]
    for name in plan.layers:
        bias = model.get_submodule(name).bias.requires_grad_()
        step = plan.grids[wiring.layers[name].output].scale
        groups.append({"params": [bias], "lr": BIAS_RATE * step})
    optimizer = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step / steps))
    target = reference.log_softmax(1)
    generator = torch.Generator().manual_seed(plan.seed)
    for _ in track(range(steps), "tuning grids and biases", steps):
        batch = torch.randperm(len(images), generator=generator)[:BATCH]
        answer = model.logits(images[batch].permute(0, 3, 1, 2).to(model.dtype)).log_softmax(1)
        loss = F.kl_div(answer, target[batch], reduction="batchmean", log_target=True)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return replace(
        plan,
        grids={**plan.grids, **{name: grid.learned() for name, grid in grids.items()}},
        corrections={name: _correction(form, model, name) for name in plan.layers},
    )


def _rate(done: float) -> float:
    """The share of the full rate after a share of the steps: a short rise, then a cosine."""
    if done < WARM_UP:
        return (done + 0.01) / (WARM_UP + 0.01)
    return 0.5 + 0.5 * math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))


def _connect(model: nn.Module, wiring: Wiring, plan: Plan) -> dict[str, LearnedRounding]:
    """Put learned roundings in the place of fixed ones; one for each tensor, by its name."""
    learned: dict[str, LearnedRounding] = {}

    def replaced(fixed: nn.Module, tensor: str) -> nn.Module:
        if not isinstance(fixed, Rounding):  # what it reads was rounded by its writer
            return fixed
        return learned.setdefault(tensor, LearnedRounding(plan.grids[tensor]))

    for name in plan.layers:
        layer: Any = model.get_submodule(name)
        layer.source = replaced(layer.source, wiring.layers[name].input)
        layer.result = replaced(layer.result, wiring.layers[name].output)
    for name in plan.activations:
        silu: Any = model.get_submodule(name)
        silu.result = replaced(silu.result, wiring.activations[name].output)
    return learned


def _correction(form: nn.Module, model: nn.Module, name: str) -> tuple[float, ...]:
    tuned: Any = model.get_submodule(name).bias
    given: Any = form.get_submodule(name).bias
    return tuple((tuned.detach() - (0 if given is None else given)).tolist())
