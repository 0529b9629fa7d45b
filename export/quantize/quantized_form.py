"""Apply a plan to the mobile form. Converters use the result, and it predicts their answers.

A quantized layer quantizes its input, multiplies it with 8-bit weights, and quantizes its output.
Eager PyTorch simulates this in float32. In an exported program the same steps are quantize and
dequantize operations, which toolchains fuse into integer kernels.
"""

from collections.abc import Container
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.ao.quantization.fx import _decomposed  # noqa: F401 (registers the operations)

from lesionlite.export.quantize.plan import Plan
from lesionlite.export.quantize.quant_params import (
    LEVELS,
    QuantParams,
    to_int8,
    to_int8_in_pairs,
)
from lesionlite.export.quantize.rounding import rounded
from lesionlite.export.quantize.wiring import LAYERS, Wiring

# TFLite's integer LOGISTIC has this fixed scale; a sigmoid of 1 becomes 255/256.
SIGMOID = QuantParams(1 / 256, 0)


class FakeQuantize(nn.Module):
    """Quantizes a tensor to 8 bits and back; stored as int8 if `signed`, else as uint8."""

    def __init__(self, grid: QuantParams, signed: bool) -> None:
        super().__init__()
        self.grid, self.signed = grid, signed

    def forward(self, x: Tensor) -> Tensor:
        """Any float shape -> the same."""
        if not torch.compiler.is_compiling():
            return rounded(x, self.grid)
        shift = 128 if self.signed else 0
        kind = torch.int8 if self.signed else torch.uint8
        grid = (self.grid.scale, self.grid.zero_point - shift, -shift, LEVELS - shift, kind)
        library = torch.ops.quantized_decomposed
        stored = library.quantize_per_tensor.default(x, *grid)
        made: Tensor = library.dequantize_per_tensor.default(stored, *grid)
        return made


class QuantizedLayer(nn.Module):
    """A convolution or linear layer in 8-bit integers.

    `source` quantizes the input, `result` the output.
    """

    weight: Tensor
    stored: Tensor
    scales: Tensor
    zeros: Tensor

    def __init__(
        self,
        layer: Any,
        source: nn.Module,
        result: nn.Module,
        correction: Tensor | None = None,
        signed: bool = True,
    ) -> None:
        super().__init__()
        stored, scales = (to_int8 if signed else to_int8_in_pairs)(layer.weight)
        self.source, self.result = source, result
        self.bias = layer.bias
        if correction is not None:
            bias = correction if layer.bias is None else layer.bias + correction
            self.bias = nn.Parameter(bias, requires_grad=False)
        self.register_buffer("stored", stored)
        self.register_buffer("scales", scales.flatten())
        self.register_buffer("zeros", torch.zeros(len(stored), dtype=torch.int64))
        # Dequantized once, for eager execution. Exported programs do not contain it.
        self.weight = stored * scales
        self.window = window_of(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Same shapes as the float layer."""
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


def window_of(layer: nn.Module) -> Any:
    """Stride, padding, dilation and groups of a convolution; None for another layer."""
    if not isinstance(layer, nn.Conv2d):
        return None
    return layer.stride, layer.padding, layer.dilation, layer.groups


class QuantizedSiLU(nn.Module):
    """x * sigmoid(x) in 8-bit integers: both the sigmoid and the product are quantized."""

    def __init__(self, result: QuantParams, signed: bool) -> None:
        super().__init__()
        self.sigmoid = FakeQuantize(SIGMOID, signed)
        self.result = FakeQuantize(result, signed)

    def forward(self, x: Tensor) -> Tensor:
        """Any float shape -> the same."""
        return self.result(x * self.sigmoid(x.sigmoid()))


def quantize(form: nn.Module, plan: Plan, wiring: Wiring, signed: bool = True) -> nn.Module:
    """A copy of the mobile form with the plan's layers and activations in 8 bits.

    Args:
        form: the mobile form that the plan was made for, in any variant.
        plan: the layers and activations to quantize, and their grids.
        wiring: the form's.
        signed: store activations as int8, else as uint8; the values they stand for are the same.
            With uint8, weights are such that no kernel saturates: see `to_int8_in_pairs`.
    """
    form = deepcopy(form)
    on_grid = {wiring.layers[name].output for name in plan.layers}
    for name in plan.activations:
        result = wiring.activations[name].output
        swap(form, name, QuantizedSiLU(plan.grids[result], signed))
        on_grid.add(result)
    for name in plan.layers:
        node = wiring.layers[name]
        source = FakeQuantize(plan.grids[node.input], signed)
        layer = QuantizedLayer(
            form.get_submodule(name),
            nn.Identity() if node.input in on_grid and not node.passed else source,
            FakeQuantize(plan.grids[node.output], signed),
            torch.tensor(plan.corrections[name]),
            signed,
        )
        swap(form, name, layer)
        if node.clipping:  # the grid of what it writes begins at 0
            swap(form, node.clipping, nn.Identity())
    return form


def with_layers(
    form: nn.Module, given: nn.Module, names: Container[str] | None = None
) -> nn.Module:
    """A copy of the mobile form with the weights and biases of another variant of it.

    Args:
        form: the mobile form in any variant.
        given: the mobile form, channels first.
        names: of the layers that get them, or None for all.
    """
    form = deepcopy(form)
    layers = dict(form.named_modules())
    for name, layer in given.named_modules():
        own: Any = layers.get(name)  # not there: a variant may drop a layer whose result is unused
        asked = names is None or name in names
        if asked and isinstance(layer, LAYERS) and own is not None:
            weight = layer.weight.reshape(own.weight.shape)
            own.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
            own.bias = layer.bias
    return form


def swap(form: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """Replace the submodule called `name` by `module`, and return the old one."""
    parent, _, child = name.rpartition(".")
    before = form.get_submodule(name)
    setattr(form.get_submodule(parent), child, module)
    return before
