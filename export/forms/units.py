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


class Norm(nn.Module):
    """LayerNorm over the last axis, as a mean, sums and products."""

    eps: Tensor
    weight: Tensor | None
    bias: Tensor | None

    def __init__(self, norm: nn.LayerNorm, dtype: torch.dtype = torch.float32) -> None:
        """Write `norm`, which is over one axis, without changing it."""
        super().__init__()
        self.register_buffer("eps", torch.tensor([norm.eps], dtype=dtype))
        self.register_buffer("weight", None if norm.weight is None else norm.weight.detach())
        self.register_buffer("bias", None if norm.bias is None else norm.bias.detach())

    def mean(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., 1]."""
        return x.mean(-1, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        """Any float shape -> the same."""
        centred = x - self.mean(x)
        made = centred * torch.rsqrt(self.mean(centred * centred) + self.eps)
        made = made if self.weight is None else made * self.weight
        return made if self.bias is None else made + self.bias


class NormOfProducts(Norm):
    """`Norm` for a runtime that lacks means: products with ones give them."""

    share: Tensor

    def __init__(self, norm: nn.LayerNorm, dtype: torch.dtype) -> None:
        """Write `norm`, which is over one axis, without changing it."""
        super().__init__(norm, dtype)
        (size,) = norm.normalized_shape
        self.register_buffer("share", torch.full((1, size), 1 / size, dtype=dtype))

    def mean(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., 1]."""
        return F.linear(x, self.share)


class SoftmaxInThreeAxes(nn.Module):
    """Softmax over the last axis of four, with the two before it as one."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return x.reshape(-1, *x.shape[2:]).softmax(-1).reshape(-1, *x.shape[1:])


class Length(nn.Module):
    """The Euclidean length along the last axis, which stays."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., 1]."""
        length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return length


class LengthOfMeans(nn.Module):
    """`Length` in operations that TFLite has in 16 bits."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., 1]."""
        return (x * x).mean(-1, keepdim=True).sqrt() * x.shape[-1] ** 0.5


class LengthOfProducts(nn.Module):
    """`Length` for a runtime that lacks sums: products with ones give them."""

    ones: Tensor

    def __init__(self, size: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("ones", torch.ones(1, size, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., 1]."""
        return torch.sqrt(F.linear(x * x, self.ones))


class Hardsigmoid(nn.Hardsigmoid):
    """relu6(x + 3) / 6 with tensors in place of numbers, for a runtime that takes no numbers."""

    three: Tensor
    sixth: Tensor

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("three", torch.full((1, 1, 1, 1), 3, dtype=dtype))
        self.register_buffer("sixth", torch.full((1, 1, 1, 1), 1 / 6, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return F.relu6(input + self.three) * self.sixth


class EveryPixel(nn.Module):
    """Every second pixel (or third, ...) in both directions; a convolution with ones takes them."""

    ones: Tensor

    def __init__(self, channels: int, stride: list[int], dtype: torch.dtype) -> None:
        super().__init__()
        self.stride = stride
        self.register_buffer("ones", torch.ones(channels, 1, 1, 1, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, ceil(H / stride), ceil(W / stride)]."""
        return F.conv2d(x, self.ones, stride=self.stride, groups=len(self.ones))
