"""Write the depthwise convolutions of a form that have large windows in pieces, for XNNPACK.

XNNPACK is no faster with such a window in 8 bits than in float. So pieces compute in float, also
where a plan has the layer in 8 bits. They have the weights and the bias of the 8-bit layer then, so
that the file answers as the plan's simulation.
"""

from typing import Any

import torch
from torch import nn

from lesionlite.export.forms.pieces import Pieces, is_large
from lesionlite.export.quantize.plan import Plan
from lesionlite.export.quantize.quantized_form import QuantizedLayer, swap, window_of


def in_pieces(form: nn.Module, plan: Plan | None = None) -> set[str]:
    """Write the large windows of a form in pieces.

    Args:
        form: the mobile form, float or quantized; it is changed.
        plan: for a float form that somebody else quantizes: which layers are in 8 bits.

    Returns:
        The names of these layers.
    """
    found: dict[str, Pieces] = {}
    for name, layer in form.named_modules():
        if not _is_large(layer):
            continue
        if plan is not None and name in plan.layers:
            shift = torch.tensor(plan.corrections[name])
            layer = QuantizedLayer(layer, nn.Identity(), nn.Identity(), shift)
        found[name] = _pieces(layer)
    for name, pieces in found.items():
        swap(form, name, pieces)
    return set(found)


def _window(layer: Any) -> Any:
    return layer.window if isinstance(layer, QuantizedLayer) else window_of(layer)


def _is_large(layer: Any) -> bool:
    window = _window(layer)
    return window is not None and is_large(layer.weight, *window[1:])


def _pieces(layer: Any) -> Pieces:
    stride, padding, *_ = _window(layer)
    pieces = Pieces(layer.weight, layer.bias, stride, padding)
    if isinstance(layer, QuantizedLayer):
        pieces.source, pieces.result = layer.source, layer.result
    return pieces
