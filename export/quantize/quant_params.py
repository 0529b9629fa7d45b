"""Affine quantization to 8 bits: real = scale * (stored - zero_point) (Jacob et al. 2018)."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionlite.errors import LesionliteError

if TYPE_CHECKING:
    from torch import Tensor

LEVELS = 255  # steps between the smallest and the largest of 256 stored values
# Where only weights are stored in fewer bits, tensors of no more values stay in float, as in
# coremltools by default: the stem and the first depthwise filters, which answers depend on most.
FEW_WEIGHTS = 2048


@dataclass(frozen=True)
class QuantParams:
    """The grid that a tensor of activations is rounded to, as unsigned 8-bit integers.

    Attributes:
        scale: distance of neighbouring values.
        zero_point: the stored value of real 0, 0 to 255; 0 is always on the grid, so that padding
            is exact.
    """

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        """Refuse what is no grid.

        Raises:
            LesionliteError: naming the value.
        """
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise LesionliteError(f"a quantization scale is {self.scale}; it must be positive")
        if not 0 <= self.zero_point <= LEVELS:
            raise LesionliteError(f"a zero point is {self.zero_point}; it must be 0 to {LEVELS}")

    @classmethod
    def covering(cls, low: float, high: float) -> "QuantParams":
        """The finest grid that holds 0 and reaches from `low` to `high`."""
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

    def round(self, x: "Tensor") -> "Tensor":
        """`x`, any float shape, on the grid; values beyond its ends are clipped."""
        import torch

        return torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero_point, 0, LEVELS)


def weight_scales(weight: "Tensor") -> "Tensor":
    """Scales [O] of symmetric 8-bit weights, one per output channel (axis 0), without zero point.

    Stored values are -127 to 127: with -128 in use, some kernels overflow.
    """
    return weight.abs().flatten(1).amax(1).clamp_min(1e-8) / 127


def to_int8(weight: "Tensor", axis: int = 0) -> tuple["Tensor", "Tensor"]:
    """A weight as int8, and its scales, shaped to go with the output channels on `axis`."""
    import torch

    shape = [1] * weight.dim()
    shape[axis] = -1
    scales = weight_scales(weight.transpose(0, axis)).reshape(shape)
    return (weight / scales).round().to(torch.int8), scales
