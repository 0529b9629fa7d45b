"""Affine quantization to 8 bits: real = scale * (stored - zero_point) (Jacob et al. 2018)."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionlite.errors import LesionliteError

if TYPE_CHECKING:
    from torch import Tensor

LEVELS = 255  # steps between the smallest and the largest of 256 stored values
# w8, w6 and w4 keep tensors with at most this many weights in float, as coremltools' defaults do.
# These are the stem and the first depthwise filters, to which the answers are most sensitive.
FEW_WEIGHTS = 2048


@dataclass(frozen=True)
class QuantParams:
    """Scale and zero point of a tensor of activations, for unsigned 8-bit integers.

    Together they define the grid of values that the tensor can have.

    Attributes:
        scale: distance between neighbouring values.
        zero_point: the integer, from 0 to 255, that stands for 0.0. Every grid contains 0.0, so
            that zero padding is exact.
    """

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        """Refuse numbers out of range.

        Raises:
            LesionliteError: names the value.
        """
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise LesionliteError(f"a quantization scale is {self.scale}; it must be positive")
        if not 0 <= self.zero_point <= LEVELS:
            raise LesionliteError(f"a zero point is {self.zero_point}; it must be 0 to {LEVELS}")

    @classmethod
    def covering(cls, low: float, high: float) -> "QuantParams":
        """The finest grid that covers 0 and the range from `low` to `high`."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max((high - low) / LEVELS, 1e-8)
        return cls(scale, min(LEVELS, max(0, round(-low / scale))))

    @property
    def low(self) -> float:
        """The smallest value of the grid."""
        return -self.scale * self.zero_point

    @property
    def high(self) -> float:
        """The largest value of the grid."""
        return self.scale * (LEVELS - self.zero_point)


def weight_scales(weight: "Tensor") -> "Tensor":
    """Scales [O] of symmetric 8-bit weights, one for each output channel (axis 0).

    Stored values are from -127 to 127, because some kernels overflow with -128.
    """
    return weight.abs().flatten(1).amax(1).clamp_min(1e-8) / 127


def to_int8(weight: "Tensor", axis: int = 0) -> tuple["Tensor", "Tensor"]:
    """A weight as int8, and its scales.

    Args:
        weight: float, any shape.
        axis: of the output channels.

    Returns:
        int8, of the weight's shape; and one scale per channel, which broadcasts against it.
    """
    import torch

    shape = [1] * weight.dim()
    shape[axis] = -1
    scales = weight_scales(weight.transpose(0, axis)).reshape(shape)
    return (weight / scales).round().to(torch.int8), scales


def expected_shift(error: "Tensor", means: "Tensor", groups: int = 1) -> "Tensor":
    """How much an error of a layer's weights shifts each output channel on average, [O].

    It is the error times the mean of the inputs (Nagel et al. 2019, arXiv 1906.04721, section 4.2).

    Args:
        error: float [O, I] or [O, I, H, W].
        means: of each input channel, [groups * I].
        groups: of a convolution.
    """
    summed = error.reshape(*error.shape[:2], -1).sum(2)
    read = means.reshape(groups, -1).repeat_interleave(len(summed) // groups, 0)
    return (summed * read).sum(1)


def to_int8_in_pairs(weight: "Tensor") -> tuple["Tensor", "Tensor"]:
    """As `to_int8`, such that kernels which add products in pairs never saturate.

    x86 processors without VNNI multiply a pair of unsigned 8-bit activations by a pair of signed
    8-bit weights, and add the two products in 16 bits (vpmaddubsw). 255 * (128 - 1) fits, so two
    neighbouring weights of equal sign may not add up to more than 128. Where they would, the
    channel gets a larger scale.

    Args:
        weight: float [O, I] or [O, I, H, W]. Neighbours are those in the order of the input
            channels and, for larger kernels, of the pixels, because runtimes have either order.
    """
    import torch
    import torch.nn.functional as F

    scales = weight_scales(weight)
    orders = [weight.flatten(1)]
    if weight.dim() == 4 and weight.shape[1] > 1:
        orders.append(weight.permute(0, 2, 3, 1).flatten(1))
    for flat in orders if weight.shape[1] > 1 else ():
        pairs = F.pad(flat, (0, flat.shape[1] % 2)).reshape(len(flat), -1, 2)
        sums = torch.stack([pairs.clamp_min(0).sum(2), (-pairs).clamp_min(0).sum(2)])
        scales = torch.maximum(scales, sums.amax((0, 2)) / 127)  # rounding adds one at most
    scales = scales.reshape([-1, *[1] * (weight.dim() - 1)])
    return (weight / scales).round().to(torch.int8), scales
