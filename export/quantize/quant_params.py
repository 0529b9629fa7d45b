"""Affine quantization to 8 bits: real = scale * (stored - zero_point) (Jacob et al. 2018)."""

import math
from collections.abc import Sequence
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


def neighbours(shape: Sequence[int]) -> "Tensor":
    """The weight beside each weight of an output channel, in the orders that runtimes have.

    Args:
        shape: of a weight: [O, I] or [O, I, H, W]. It is stored so, or as [O, H, W, I].

    Returns:
        Indices [orders, K] among the K = I * H * W weights; K itself stands for none. There is no
        order for depthwise convolutions, which no kernel computes in pairs.
    """
    import torch
    import torch.nn.functional as F

    count = math.prod(shape[1:])
    own = torch.arange(count)
    orders = [own, own.reshape(*shape[1:]).movedim(0, -1).flatten()] if shape[1] > 1 else []
    found = torch.empty(len(orders), count, dtype=torch.int64)
    for row, order in zip(found, orders, strict=True):
        pairs = F.pad(order, (0, count % 2), value=count).reshape(-1, 2)
        row[order] = pairs.flip(1).flatten()[:count]
    return found


def to_int8_in_pairs(weight: "Tensor") -> tuple["Tensor", "Tensor"]:
    """As `to_int8`, such that kernels which add products in pairs never saturate.

    x86 processors without VNNI multiply a pair of unsigned 8-bit activations by a pair of signed
    8-bit weights, and add the two products in 16 bits (vpmaddubsw). 255 * (128 - 1) fits, so two
    neighbouring weights of equal sign may not add up to more than 128. Where they would, the
    channel gets a larger scale.

    Args:
        weight: float [O, I] or [O, I, H, W].
    """
    import torch
    import torch.nn.functional as F

    scales, flat = weight_scales(weight), weight.flatten(1)
    for row in neighbours(weight.shape):
        beside = F.pad(flat, (0, 1))[:, row]
        sums = (flat + beside).abs() * (flat * beside > 0)
        scales = torch.maximum(scales, sums.amax(1) / 127)  # rounding adds one at most
    scales = scales.reshape([-1, *[1] * (weight.dim() - 1)])
    return (weight / scales).round().to(torch.int8), scales
