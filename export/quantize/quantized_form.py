"""The mobile form with a plan applied: formats convert it, and here it predicts their answers.

A quantized layer rounds its input to 8 bits, multiplies with 8-bit weights, and rounds its output;
the grids come from the plan. In eager PyTorch that is simulated in float32; in an exported program
the same roundings are the quantize and dequantize operations that toolchains fuse into integer
kernels.
"""

from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.ao.quantization.fx import _decomposed  # noqa: F401 (registers the operations)

from lesionlite.export.quantize.plan import Plan
from lesionlite.export.quantize.quant_params import LEVELS, QuantParams, to_int8
from lesionlite.export.quantize.wiring import Wiring

# A sigmoid lies between 0 and 1. TFLite's integer LOGISTIC fixes this grid; 1 becomes 255/256.
SIGMOID = QuantParams(1 / 256, 0)


class Rounding(nn.Module):
    """Rounds a tensor to a grid."""

    def __init__(self, grid: QuantParams, signed: bool) -> None:
        super().__init__()
        self.grid, self.signed = grid, signed

    def forward(self, x: Tensor) -> Tensor:
        """Any float shape -> the same."""
        if not torch.compiler.is_compiling():
            return self.grid.round(x)
        shift = 128 if self.signed else 0
        kind = torch.int8 if self.signed else torch.uint8
        grid = (self.grid.scale, self.grid.zero_point - shift, -shift, LEVELS - shift, kind)
        library = torch.ops.quantized_decomposed
        stored = library.quantize_per_tensor.default(x, *grid)
        rounded: Tensor = library.dequantize_per_tensor.default(stored, *grid)
        return rounded


class QuantizedLayer(nn.Module):
    """A convolution or linear layer in 8-bit integers.

    `source` rounds what it reads, `result` what it writes.
    """

    weight: Tensor
    stored: Tensor
    scales: Tensor
    zeros: Tensor

    def __init__(
        self, layer: Any, source: nn.Module, result: nn.Module, correction: Tensor | None = None
    ) -> None:
        super().__init__()
        stored, scales = to_int8(layer.weight)
        self.source, self.result = source, result
        self.bias = layer.bias
        if correction is not None:
            bias = correction if layer.bias is None else layer.bias + correction
            self.bias = nn.Parameter(bias, requires_grad=False)
        self.register_buffer("stored", stored)
        self.register_buffer("scales", scales.flatten())
        self.register_buffer("zeros", torch.zeros(len(stored), dtype=torch.int64))
        # Already multiplied out for eager execution; not part of an exported program.
        self.weight = stored * scales
        self.window: Any = (
            (layer.stride, layer.padding, layer.dilation, layer.groups)
            if isinstance(layer, nn.Conv2d)
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """As the float layer."""
        weight = self.weight
        if torch.compiler.is_compiling():
            weight = torch.ops.quantized_decomposed.dequantize_per_channel.default(
                self.stored, self.scales, self.zeros, 0, -127, 127, torch.int8
            )
        x = self.source(x)
        if self.window is None:
            return self.result(F.linear(x, weight, self.bias))
        stride, padding, dilation, groups = self.window
        return self.result(F.conv2d(x, weight, self.bias, stride, padding, dilation, groups))


class QuantizedSiLU(nn.Module):
    """x * sigmoid(x) in 8-bit integers: the sigmoid is rounded, and then the product."""

    def __init__(self, result: QuantParams, signed: bool) -> None:
        super().__init__()
        self.sigmoid = Rounding(SIGMOID, signed)
        self.result = Rounding(result, signed)

    def forward(self, x: Tensor) -> Tensor:
        """Any float shape -> the same."""
        return self.result(x * self.sigmoid(x.sigmoid()))


def quantize(form: nn.Module, plan: Plan, wiring: Wiring, signed: bool = True) -> nn.Module:
    """A copy of the mobile form with the plan's layers and activations in 8 bits.

    Args:
        form: `MobileForm` that the plan was made for, in any variant.
        plan: which layers, and their grids.
        wiring: of this form.
        signed: store activations as int8 (else uint8); the grid is the same.
    """
    form = deepcopy(form)
    on_grid = {wiring.layers[name].output for name in plan.layers}
    for name in plan.activations:
        result = wiring.activations[name].output
        swap(form, name, QuantizedSiLU(plan.grids[result], signed))
        on_grid.add(result)
    for name in plan.layers:
        wire, shift = wiring.layers[name], plan.corrections[name]
        source = Rounding(plan.grids[wire.input], signed)
        layer = QuantizedLayer(
            form.get_submodule(name),
            nn.Identity() if wire.input in on_grid else source,
            Rounding(plan.grids[wire.output], signed),
            torch.tensor(shift),
        )
        swap(form, name, layer)
    return form


def swap(form: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """Put `module` in the place called `name`; returns what was there."""
    parent, _, child = name.rpartition(".")
    before = form.get_submodule(name)
    setattr(form.get_submodule(parent), child, module)
    return before
