"""Tune a plan by gradient descent: the scale of each tensor, and the bias of each 8-bit layer.

The loss is the divergence of the answers from the float network's, so no labels are needed.
Gradients pass through the rounding as in learned step size quantization (Esser et al. 2020, arXiv
1902.08153, eq. 3 and 5). Weights are not tuned, so the plan stays a small file.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesionlite.console import track
from lesionlite.export.quantize.plan import Plan
from lesionlite.export.quantize.quant_params import LEVELS, QuantParams
from lesionlite.export.quantize.quantized_form import FakeQuantize, quantize
from lesionlite.export.quantize.rounding import rounded_with_gradients
from lesionlite.export.quantize.wiring import Wiring
from lesionlite.train.devices.device import Thinning, overruns

# Adam's initial learning rates, for the logarithm of a scale and for a bias. Rates in units of each
# layer's scale were tried on real images: the divergence was larger by a third or more.
SCALE_RATE, BIAS_RATE = 0.03, 0.003
# Images of a step. With 25, a step took three times as long, for its tensors are larger than a
# processor's cache; and 240 steps of a MobileViTv2 ended at 0.00162 nats, 120 of these at 0.00131.
BATCH = 12
CHECKS = 1 / 8, 1 / 2  # shares of the steps after which a try may be given up


class LearnedFakeQuantize(nn.Module):
    """Fake quantization with a learned scale and a fixed zero point."""

    def __init__(self, grid: QuantParams, highest: float = math.inf) -> None:
        """Start at a grid; its largest value may become `highest`."""
        super().__init__()
        self.most = math.log(highest / max(1, LEVELS - grid.zero_point))
        self.log_scale = nn.Parameter(torch.tensor([grid.scale]).log())
        self.zero_point = grid.zero_point

    def forward(self, x: Tensor) -> Tensor:
        """Any float shape -> the same."""
        gradient = (LEVELS * x[0].numel()) ** -0.5  # eq. 5's factor, which keeps steps alike
        return rounded_with_gradients(x, self.log_scale.exp(), self.zero_point, gradient)

    @torch.no_grad()
    def cap(self) -> None:
        """Return from beyond the highest value that is allowed."""
        self.log_scale.clamp_(max=self.most)

    def learned(self) -> QuantParams:
        """The scale as it is now, and the zero point."""
        return QuantParams(float(self.log_scale.detach().exp()), self.zero_point)


@torch.enable_grad()
def tune(
    form: Any,
    wiring: Wiring,
    plan: Plan,
    images: Tensor,
    reference: Tensor,
    steps: int,
    rate: float = 1.0,
    is_hopeless: Callable[[Plan, float], bool] = lambda so_far, share: False,
) -> Plan:
    """The plan with tuned grids and bias corrections.

    Args:
        form: the float mobile form, with rounded weights in the plan's layers.
        wiring: the form's.
        plan: where to start.
        images: uint8 [N, S, S, 3].
        reference: logits [N, C] of the float form for the images.
        steps: number of steps of gradient descent, each on one batch.
        rate: factor on both learning rates.
        is_hopeless: whether to end with the plan that is reached so far, given that and the share
            of the steps that are done. It is asked at each share of `CHECKS`.
    """
    model: Any = quantize(form, plan, wiring)
    grids = _connect(model, form, wiring, plan)
    biases = [model.get_submodule(name).bias.requires_grad_() for name in plan.layers]
    scales = [grid.log_scale for grid in grids.values()]
    optimizer = torch.optim.Adam(
        [
            {"params": scales, "lr": rate * SCALE_RATE},
            {"params": biases, "lr": rate * BIAS_RATE},
        ]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    target = reference.log_softmax(1)
    batches = _batches(len(images), plan.seed)

    def tuned() -> Plan:
        return replace(
            plan,
            grids={**plan.grids, **{name: grid.learned() for name, grid in grids.items()}},
            corrections={name: _correction(form, model, name) for name in plan.layers},
        )

    checks = {math.ceil(share * steps): share for share in CHECKS}
    for step in track(range(steps), "tuning grids and biases", steps):
        if step in checks and is_hopeless(tuned(), checks[step]):
            break
        batch = next(batches)
        answer = model.scores(images[batch]).log_softmax(1)
        loss = F.kl_div(answer, target[batch], reduction="batchmean", log_target=True)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for grid in grids.values():
            grid.cap()
        schedule.step()
    return tuned()


def _batches(images: int, seed: int) -> Iterator[Tensor]:
    """Endless batches of image indices; each epoch is shuffled and drops an incomplete batch."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(images, generator=generator)
        yield from order.split(BATCH)[: max(1, images // BATCH)]


def _thin(layer: Any) -> None:
    """Make the gradient of a layer's bias safe on a CPU, in place; see `overruns`."""
    if layer.window is None:
        return
    stride, padding, dilation, groups = layer.window
    if overruns(layer.weight, stride, padding, groups):
        layer.source = nn.Sequential(layer.source, Thinning(stride))
        layer.window = ((1, 1), padding, dilation, groups)


def _connect(
    model: nn.Module, form: nn.Module, wiring: Wiring, plan: Plan
) -> dict[str, LearnedFakeQuantize]:
    """Replace each FakeQuantize by a learned one, and return these by tensor name.

    Modules that quantize the same tensor share one.
    """
    learned: dict[str, LearnedFakeQuantize] = {}
    sixes = {  # the range of what such a layer writes does the clipping, too
        node.output
        for name, node in wiring.layers.items()
        if name in plan.layers
        and node.clipping
        and isinstance(form.get_submodule(node.clipping), nn.ReLU6)
    }

    def replaced(fixed: nn.Module, tensor: str) -> nn.Module:
        if not isinstance(
            fixed, FakeQuantize
        ):  # an Identity: the layer before quantizes this tensor
            return fixed
        highest = 6.0 if tensor in sixes else math.inf
        return learned.setdefault(tensor, LearnedFakeQuantize(plan.grids[tensor], highest))

    for name in plan.layers:
        layer: Any = model.get_submodule(name)
        layer.source = replaced(layer.source, wiring.layers[name].input)
        layer.result = replaced(layer.result, wiring.layers[name].output)
        _thin(layer)
    for name in plan.activations:
        silu: Any = model.get_submodule(name)
        silu.result = replaced(silu.result, wiring.activations[name].output)
    return learned


def _correction(form: nn.Module, model: nn.Module, name: str) -> tuple[float, ...]:
    tuned: Any = model.get_submodule(name).bias
    given: Any = form.get_submodule(name).bias
    return tuple((tuned.detach() - (0 if given is None else given)).tolist())
