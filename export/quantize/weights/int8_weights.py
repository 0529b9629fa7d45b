"""Round the weights of one layer to 8-bit integers, such that its outputs stay."""

import torch
from torch import Tensor

from lesionlite.export.quantize.quant_params import to_int8
from lesionlite.export.quantize.weights.layer_rounding import fed_back, swept, with_damped_variances


def round_to_int8(weight: Tensor, covariance: Tensor) -> Tensor:
    """The weight on the values that `to_int8` gives it, better rounded.

    The largest weight of each output channel stays where it is, so that whoever quantizes the
    result by its largest values gets the same scales and the same integers.

    Args:
        weight: float32 [O, ...], one row per output channel.
        covariance: as `to_palette`.

    Returns:
        float32, of the weight's shape.
    """
    stored, scales = to_int8(weight)
    if covariance.dim() == 2:  # of wide layers: inputs as if independent, so the nearest is best
        return stored * scales
    groups = len(covariance)
    rows = weight.reshape(groups, len(weight) // groups, -1)
    scales = scales.reshape(groups, -1, 1)
    largest = stored.reshape(rows.shape).abs() == 127

    def nearest(x: Tensor, at: int) -> Tensor:
        steps = (x / scales[:, :, 0]).round().clamp(-127, 127)
        steps = torch.where(largest[:, :, at], stored.reshape(rows.shape)[:, :, at], steps)
        return steps * scales[:, :, 0]

    covariance = with_damped_variances(covariance)
    made = fed_back(rows, covariance, nearest)
    return swept(rows, covariance, made, nearest).reshape(weight.shape)
