"""Operations as modules, so that a quantization plan can name them and replace them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Add(nn.Module):
    """The sum of two tensors."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Two shapes that broadcast -> the shape of both together."""
        return x + y


class Multiply(nn.Module):
    """The product of two tensors, by elements."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Two shapes that broadcast -> the shape of both together."""
        return x * y


class Concatenate(nn.Module):
    """Several tensors, one behind the other."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *parts: Tensor) -> Tensor:
        """Shapes that differ along the axis only -> their union."""
        return torch.cat(parts, self.axis)


class GlobalMean(nn.Module):
    """The mean over the pixels; it keeps the axes, else the TFLite converter would leave NHWC."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, 1, 1]."""
        return x.mean((2, 3), keepdim=True)


class HardSwish(nn.Module):
    """A hard swish of sums and products, for a runtime that lacks it in some precision.

    relu(x + 3) - relu(x - 3) is relu6(x + 3), of which converters would make a hard swish again.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Any float shape -> the same."""
        return x * ((F.relu(x + 3) - F.relu(x - 3)) * (1 / 6))
