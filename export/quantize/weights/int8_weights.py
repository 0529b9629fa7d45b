"""Round the weights of one layer to 8-bit integers, such that its outputs stay."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lesionlite.export.quantize.quant_params import neighbours, to_int8, to_int8_in_pairs
from lesionlite.export.quantize.weights.layer_rounding import (
    Nearest,
    fed_back,
    swept,
    with_damped_variances,
)


def round_to_int8(weight: Tensor, covariance: Tensor, in_pairs: bool = False) -> Tensor:
    """The weight on the values that `to_int8` gives it, better rounded.

    The largest weight of each output channel stays where it is, so that whoever quantizes the
    result by its largest values gets the same scales and the same integers.

    Args:
        weight: float32 [O, ...], one row per output channel.
        covariance: as `to_palette`.
        in_pairs: on the values of `to_int8_in_pairs` instead; the largest pair stays, too.

    Returns:
        float32, of the weight's shape.
    """
    stored, scales = (to_int8_in_pairs if in_pairs else to_int8)(weight)
    if covariance.dim() == 2:  # of wide layers: inputs as if independent, so the nearest is best
        return stored * scales
    groups = len(covariance)
    rows = weight.reshape(groups, len(weight) // groups, -1)
    beside = list(neighbours(weight.shape)) if in_pairs else []
    nearest = _integers(stored.reshape(rows.shape).float(), scales.reshape(groups, -1), beside)
    covariance = with_damped_variances(covariance)
    made = fed_back(rows, covariance, nearest)
    return swept(rows, covariance, made, nearest).reshape(weight.shape)


def _integers(stored: Tensor, scales: Tensor, beside: list[Tensor]) -> Nearest:
    """The multiples of the scales that neighbours allow.

    Args:
        stored: integers of the nearest values, [G, O, K].
        scales: [G, O].
        beside: the weights whose sum with a weight of equal sign may be 127 at most; see
            `neighbours`.
    """
    fixed = stored.abs() == 127
    for row in beside:
        other = F.pad(stored, (0, 1))[:, :, row]
        fixed |= ((stored + other).abs() >= 127) & (stored * other > 0)
    chosen = F.pad(torch.where(fixed, stored, 0.0), (0, 1))

    def nearest(x: Tensor, at: int) -> Tensor:
        steps = (x / scales).round().clamp(-127, 127)
        for row in beside:
            other = chosen[:, :, row[at]]
            most, least = 127 - other.clamp_min(0), -127 - other.clamp_max(0)
            steps = torch.minimum(torch.maximum(steps, least), most)
        steps = torch.where(fixed[:, :, at], stored[:, :, at], steps)
        chosen[:, :, at] = steps
        return steps * scales

    return nearest
