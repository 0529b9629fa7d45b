"""Round a tensor to 8 bits and back, with the gradients that tuning needs.

PyTorch's own operations for this (`fake_quantize_per_tensor_affine` and its learnable form) compute
one value at a time: they took over half of the time of a step. These give the same numbers, except
for values midway between two neighbours, to float32's last bit.
"""

from typing import Any

import torch
from torch import Tensor

from lesionlite.export.quantize.quant_params import LEVELS, QuantParams


def rounded(x: Tensor, grid: QuantParams) -> Tensor:
    """`x`, float of any shape, rounded and clipped to a grid."""
    if x.requires_grad:
        return rounded_with_gradients(x, torch.tensor([grid.scale]), grid.zero_point, 1.0)
    return _on_grid(x, grid.scale, grid.zero_point)


def _on_grid(x: Tensor, scale: float, zero_point: int) -> Tensor:
    steps = x.detach() * (1 / scale)
    return steps.round_().clamp_(-zero_point, LEVELS - zero_point).mul_(scale)


def rounded_with_gradients(x: Tensor, scale: Tensor, zero_point: int, factor: float) -> Tensor:
    """`rounded` with a scale that is learned; its gradient is multiplied by `factor`."""
    made: Tensor = Rounding.apply(x, scale, zero_point, factor)  # type: ignore[no-untyped-call]
    return made


class Rounding(torch.autograd.Function):
    """Rounding with gradients for `x` and for the scale.

    They pass through the rounding: Esser et al. 2020, arXiv 1902.08153, eq. 3 and 5.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero_point: int, factor: float) -> Tensor:
        """`x` on the grid.

        Args:
            ctx: what the backward pass needs.
            x: float32, of any shape.
            scale: float32 [1].
            zero_point: from 0 to 255.
            factor: on the gradient of the scale.
        """
        step = float(scale)
        made = _on_grid(x, step, zero_point)
        ctx.save_for_backward(x, made)
        ctx.grid = step, zero_point, factor
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """The gradients of `x` and of the scale."""
        (gradient,), (x, made) = gradients, ctx.saved_tensors
        step, zero_point, factor = ctx.grid
        ends = step * (-0.5 - zero_point), step * (LEVELS + 0.5 - zero_point)
        inside = torch.ops.aten.hardtanh_backward  # keeps its first argument where x is inside
        of_scale = None
        if ctx.needs_input_grad[1]:
            error = made - inside(x, x, *ends)
            of_scale = ((gradient * error).sum() * (factor / step)).reshape(1)
        return inside(gradient, x, *ends), of_scale, None, None
