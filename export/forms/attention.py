"""The parts of the mobile form that runtimes want written differently: its norms and attention.

All variants compute the same function (see `mobilevitv2.py`); tests hold each of them to timm's
network in float64.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 2
STREAM_SCALE = 1 / 16  # a power of two: exact


@dataclass(frozen=True)
class Variant:
    """How the form is written down for one runtime.

    Attributes:
        channels_last: the attention's matrix products run over pixels with channels last, so that
            a runtime that keeps images as NHWC needs no transpose.
        grouped: pixels of equal place lie side by side inside a block, [B, C, 4, H*W/4], and a
            group is summed by average pooling. No matrix product, no mask, no reshape of an image.
        norm: a name in `MEANS`, or "instance" or "group" for the operation of that name, where a
            runtime has a fast one.
        cast_first: pixels become floats before they change layout, for runtimes that have a
            fast transpose of floats only.
        signed: 8-bit activations are stored as int8, else as uint8.
    """

    channels_last: bool = False
    grouped: bool = False
    norm: str = "at once"
    cast_first: bool = False
    signed: bool = True


NCHW = Variant()
# ONNX Runtime takes int8 activations on Arm only. Elsewhere it first makes them uint8, but not
# where two operations read one (x and the sigmoid of a SiLU): the convolution before it then runs
# in float. Seen in 1.32, QDQS8ToU8Transformer.
ORT = Variant(channels_last=True, norm="instance", signed=False)
NHWC = Variant(channels_last=True)
TORCH = Variant(channels_last=True, norm="group")
GROUPED = Variant(grouped=True, norm="in steps", cast_first=True)


def fold_batchnorm(conv: nn.Conv2d, norm: Any) -> nn.Conv2d:
    """One convolution equal to `conv` followed by `norm` in evaluation."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    bias = shift if conv.bias is None else shift + conv.bias * scale
    return with_weights(conv, conv.weight * scale[:, None, None, None], bias)


def fold_affine(norm: nn.GroupNorm, conv: nn.Conv2d) -> nn.Conv2d:
    """One 1x1 convolution equal to `norm`'s scale and shift followed by `conv`.

    W (gamma * x + beta) + b = (W diag gamma) x + (W beta + b).
    """
    bias = conv.weight[:, :, 0, 0] @ norm.bias
    if conv.bias is not None:
        bias = bias + conv.bias
    return with_weights(conv, conv.weight * norm.weight[None, :, None, None], bias)


def with_weights(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A convolution as `conv`, with other weights."""
    new = nn.Conv2d(
        weight.shape[1] * conv.groups,
        weight.shape[0],
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        groups=conv.groups,
        bias=bias is not None,
        dtype=weight.dtype,
    )
    new.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        new.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return new


def as_linear(conv: nn.Conv2d) -> nn.Linear:
    """The same 1x1 convolution for channels in the last axis."""
    new = nn.Linear(conv.in_channels, conv.out_channels, dtype=conv.weight.dtype)
    new.weight = nn.Parameter(conv.weight[:, :, 0, 0].clone(), requires_grad=False)
    assert conv.bias is not None
    new.bias = nn.Parameter(conv.bias.clone(), requires_grad=False)
    return new


def into_stream(conv: nn.Conv2d) -> nn.Conv2d:
    """The same convolution, writing to the scaled residual stream."""
    bias = None if conv.bias is None else conv.bias * STREAM_SCALE
    return with_weights(conv, conv.weight * STREAM_SCALE, bias)


def _mean_at_once(x: Tensor) -> Tensor:
    return x.mean((1, 2, 3), keepdim=True)


def _mean_in_steps(x: Tensor) -> Tensor:
    """Over the pixels and then over the channels, for runtimes that have only average pooling."""
    channels = x.mean((2, 3), keepdim=True).reshape(-1, 1, 1, x.shape[1])
    return channels.mean((2, 3), keepdim=True)


MEANS = {"at once": _mean_at_once, "in steps": _mean_in_steps}


class Normalize(nn.Module):
    """GroupNorm(1) of the scaled stream, without scale and shift: zero mean, unit variance."""

    def __init__(self, eps: float, variant: Variant = NCHW) -> None:
        super().__init__()
        self.eps = eps * STREAM_SCALE**2
        self.norm = variant.norm

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        if self.norm == "instance":  # of one channel, which is the whole image
            return F.instance_norm(x.flatten(1).unsqueeze(1), eps=self.eps).reshape(x.shape)
        if self.norm == "group":
            return F.group_norm(x, 1, eps=self.eps)
        mean = MEANS[self.norm]
        centred = x - mean(x)
        return centred * torch.rsqrt(mean(centred * centred) + self.eps)


class Projections(nn.Module):
    """What every variant of separable self-attention has: the norm and four 1x1 convolutions."""

    def __init__(self, norm: nn.GroupNorm, attn: Any, variant: Variant) -> None:
        super().__init__()
        folded = fold_affine(norm, attn.qkv_proj)
        dim = attn.embed_dim
        assert folded.bias is not None
        query, key, value = folded.weight.split([1, dim, dim])
        _, key_bias, value_bias = folded.bias.split([1, dim, dim])
        self.norm = Normalize(norm.eps, variant)
        self.query = with_weights(folded, query, None)
        pointwise = with_weights(folded, key, key_bias)
        self.key = as_linear(pointwise) if variant.channels_last else pointwise
        self.value = with_weights(folded, value, value_bias)
        self.act = nn.ReLU()
        self.out_proj = into_stream(attn.out_proj)
        self.dim = dim


class Attention(Projections):
    """Separable self-attention over the pixels of equal place in their patch, without unfolding.

    `place` is the one-hot [4, H*W] map of phi. It spreads the query over four rows, each masked to
    one group, so that one softmax over the last axis normalizes every group by itself; the product
    with the pixels then gives the four weighted sums, and the product with `place` hands each pixel
    its group's vector back.
    """

    place: Tensor
    place_of_pixel: Tensor
    mask: Tensor
    MASKED = -1e4  # exp(-1e4) is 0 even in float64, and float16 can hold it

    def __init__(
        self, norm: nn.GroupNorm, attn: Any, height: int, width: int, variant: Variant
    ) -> None:
        super().__init__(norm, attn, variant)
        self.height, self.width, self.channels_last = height, width, variant.channels_last
        rows, columns = torch.arange(height) % PATCH, torch.arange(width) % PATCH
        phi = (rows[:, None] * PATCH + columns[None, :]).flatten()
        place = F.one_hot(phi, PATCH**2).to(self.value.weight.dtype).T.contiguous()
        self.register_buffer("place", place)
        self.register_buffer("mask", (1 - place) * self.MASKED)
        self.register_buffer("place_of_pixel", place.T.contiguous() if self.channels_last else None)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        x = self.norm(x)
        pixels = self.height * self.width
        scores = (self.query(x).reshape(-1, 1, pixels) + self.mask).softmax(-1)
        value = self.act(self.value(x))
        if self.channels_last:
            sums = scores @ x.permute(0, 2, 3, 1).reshape(-1, pixels, self.dim)
            context = self.key(sums)
            spread = (self.place_of_pixel @ context).reshape(-1, self.height, self.width, self.dim)
            return self.out_proj(value * spread.permute(0, 3, 1, 2))
        sums = x.reshape(-1, self.dim, pixels) @ scores.transpose(1, 2)
        context = self.key(sums.unsqueeze(-1)).squeeze(-1)
        return self.out_proj(
            value * (context @ self.place).reshape(-1, self.dim, self.height, self.width)
        )


class GroupedAttention(Projections):
    """Separable self-attention over pixels that `group` has brought together by place.

    One row of [B, C, 4, N] is one group, so the softmax needs no mask, and N times the average over
    a row is its weighted sum.
    """

    count: Tensor

    def __init__(
        self, norm: nn.GroupNorm, attn: Any, height: int, width: int, variant: Variant
    ) -> None:
        super().__init__(norm, attn, variant)
        self.pixels = height * width // PATCH**2
        # A tensor, because XNNPACK's delegate leaves a product with a number outside.
        count = torch.full((1, 1, 1, 1), self.pixels, dtype=self.value.weight.dtype)
        self.register_buffer("count", count)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, 4, N] -> the same shape."""
        x = self.norm(x)
        scores = self.query(x).reshape(-1, PATCH**2, self.pixels).softmax(-1)
        weighted = x * scores.reshape(-1, 1, PATCH**2, self.pixels)
        # XNNPACK's delegate wants the stride spelled out, and no padding in the count.
        row = (1, self.pixels)
        mean = F.avg_pool2d(weighted, row, row, count_include_pad=False)
        context = self.key(mean * self.count)
        return self.out_proj(self.act(self.value(x)) * context)


def group(x: Tensor, height: int, width: int) -> Tensor:
    """[B, C, H, W] -> [B, C, 4, H*W/4]: pixels of equal place in their 2x2 patch side by side."""
    channels = x.shape[1]
    x = x.reshape(-1, height // PATCH, PATCH, width // PATCH, PATCH).permute(0, 2, 4, 1, 3)
    return x.reshape(-1, channels, PATCH**2, height * width // PATCH**2)


def ungroup(x: Tensor, height: int, width: int) -> Tensor:
    """[B, C, 4, H*W/4] -> [B, C, H, W]: what `group` did, undone."""
    channels = x.shape[1]
    x = x.reshape(-1, PATCH, PATCH, height // PATCH, width // PATCH).permute(0, 3, 1, 4, 2)
    return x.reshape(-1, channels, height, width)
