"""Norms and attention of the mobile form, written in a different way for each runtime.

All variants compute the same function (see `mobilevitv2.py`). Tests compare each variant with
timm's network in float64.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesionlite.export.forms.fold import as_linear, fold_affine, with_weights

PATCH = 2
STREAM_SCALE = 1 / 16  # a power of two, so scaling does not round


@dataclass(frozen=True)
class Variant:
    """How to write the form for one runtime.

    Attributes:
        channels_last: attention's matrix products take pixels with channels last, so a runtime that
            stores images as NHWC needs no transpose.
        grouping: how the pixels at equal positions of their patches are grouped inside a block,
            [B, C, 4, H*W/4]: by "permute" or by "slices"; "" for no grouping. Attention then needs
            no mask, and no matrix product of two activations, which GPU delegates refuse.
        norm: a name in `MEANS`; or "instance" or "group" for the operation of that name, if the
            runtime has a fast one.
        cast_first: pixels are converted to floats before they are transposed, for a runtime that
            transposes only floats fast.
        signed: 8-bit activations are int8; if False, uint8.
        pointwise_head: the last layer is a 1x1 convolution, not a linear layer.
    """

    channels_last: bool = False
    grouping: str = ""
    norm: str = "at once"
    cast_first: bool = False
    signed: bool = True
    pointwise_head: bool = False


NCHW = Variant()
# ONNX Runtime has int8 kernels on Arm only. On other processors it converts int8 activations to
# uint8 (QDQS8ToU8Transformer), but not those that two operations read, such as the input of a SiLU,
# which its sigmoid and its product read. The convolution before them would then run in float. Seen
# in 1.32.
ORT = Variant(channels_last=True, norm="instance", signed=False)
# LiteRT's GPU delegate (2.3) fails with 8-bit weights of FULLY_CONNECTED: "Shape mismatch".
NHWC = Variant(grouping="slices", pointwise_head=True)
TORCH = Variant(channels_last=True, norm="group")
GROUPED = Variant(grouping="permute", norm="in steps", cast_first=True)


def into_stream(conv: nn.Conv2d) -> nn.Conv2d:
    """The same convolution, with its result scaled for the residual stream."""
    bias = None if conv.bias is None else conv.bias * STREAM_SCALE
    return with_weights(conv, conv.weight * STREAM_SCALE, bias)


def _mean_at_once(x: Tensor) -> Tensor:
    return x.mean((1, 2, 3), keepdim=True)


def _mean_in_steps(x: Tensor) -> Tensor:
    """The mean over the pixels, then over the channels, for runtimes with average pooling only."""
    channels = x.mean((2, 3), keepdim=True).reshape(-1, 1, 1, x.shape[1])
    return channels.mean((2, 3), keepdim=True)


MEANS = {"at once": _mean_at_once, "in steps": _mean_in_steps}


class Normalize(nn.Module):
    """GroupNorm(1) of the scaled residual stream, without learned scale and shift."""

    def __init__(self, eps: float, variant: Variant = NCHW) -> None:
        super().__init__()
        self.eps = eps * STREAM_SCALE**2
        self.norm = variant.norm

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        if self.norm == "instance":  # of one channel that holds all values
            return F.instance_norm(x.flatten(1).unsqueeze(1), eps=self.eps).reshape(x.shape)
        if self.norm == "group":
            return F.group_norm(x, 1, eps=self.eps)
        mean = MEANS[self.norm]
        centred = x - mean(x)
        return centred * torch.rsqrt(mean(centred * centred) + self.eps)


class Projections(nn.Module):
    """The layers of every variant of separable self-attention: norm and four 1x1 convolutions."""

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
    """Separable self-attention over the pixels at equal positions of their patches, in place.

    `place` is the one-hot map of phi, [4, H*W]. The query is copied to four rows, and each row is
    masked to one group, so one softmax over the last axis normalizes each group separately. The
    product with the pixels gives the four weighted sums; the product with `place` gives each pixel
    the vector of its group.
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
    """Separable self-attention over pixels that `group` has grouped by position.

    Each row of [B, C, 4, N] is one group, so the softmax needs no mask, and the weighted sum is a
    product by elements and a sum over the row.
    """

    count: Tensor | None

    def __init__(
        self, norm: nn.GroupNorm, attn: Any, height: int, width: int, variant: Variant
    ) -> None:
        super().__init__(norm, attn, variant)
        self.pixels = height * width // PATCH**2
        # The score of a pixel that is alone in its row is 1, whatever the query. LiteRT's converter
        # would write x / x, which GPU delegates refuse; without it, the query is in no file.
        self.alone = self.pixels == 1 and variant.grouping == "slices"
        self.dropped = ("query",) if self.alone else ()
        # A tensor, because XNNPACK's delegate does not take a product with a plain number.
        count = torch.full((1, 1, 1, 1), self.pixels, dtype=self.value.weight.dtype)
        self.register_buffer("count", None if variant.grouping == "slices" else count)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, 4, N] -> the same shape."""
        x = self.norm(x)
        query = self.query(x).reshape(-1, PATCH**2, self.pixels)
        if self.alone:
            return self.out_proj(self.act(self.value(x)) * self.key(x))
        scores = query.softmax(-1).reshape(-1, 1, PATCH**2, self.pixels)
        return self.out_proj(self.act(self.value(x)) * self.key(self.sum_rows(x * scores)))

    def sum_rows(self, x: Tensor) -> Tensor:
        """[B, C, 4, N] -> [B, C, 4, 1].

        ExecuTorch's XNNPACK delegate takes no sum, so its variant multiplies an average. The
        average is too small for float16, which GPUs compute in.
        """
        if self.count is None:
            return x.sum(3, keepdim=True)
        # XNNPACK's delegate requires an explicit stride, and count_include_pad=False.
        row = (1, self.pixels)
        return F.avg_pool2d(x, row, row, count_include_pad=False) * self.count


def group(x: Tensor, height: int, width: int) -> Tensor:
    """[B, C, H, W] -> [B, C, 4, H*W/4]: one row for each position in a 2x2 patch."""
    channels = x.shape[1]
    x = x.reshape(-1, height // PATCH, PATCH, width // PATCH, PATCH).permute(0, 2, 4, 1, 3)
    return x.reshape(-1, channels, PATCH**2, height * width // PATCH**2)


def ungroup(x: Tensor, height: int, width: int) -> Tensor:
    """[B, C, 4, H*W/4] -> [B, C, H, W]: the inverse of `group`."""
    channels = x.shape[1]
    x = x.reshape(-1, PATCH, PATCH, height // PATCH, width // PATCH).permute(0, 3, 1, 4, 2)
    return x.reshape(-1, channels, height, width)


def group_by_slices(x: Tensor, height: int, width: int) -> Tensor:
    """As `group`, for runtimes that store NHWC: tensors of rank 4, slices and no transpose.

    A reshape to [B, H/2, W, 2C] puts the upper pixels of the patches before the lower ones, and the
    left ones beside the right ones.
    """
    half, channels = width // PATCH, x.shape[1]
    pairs = x.permute(0, 2, 3, 1).reshape(-1, height // PATCH, width, PATCH * channels)
    upper, lower = pairs.split(half, 2)  # not in a loop, which FX cannot trace
    upper_left, upper_right = upper.split(channels, 3)
    lower_left, lower_right = lower.split(channels, 3)
    groups = torch.cat([upper_left, upper_right, lower_left, lower_right], 1)
    return groups.reshape(-1, PATCH**2, height * half // PATCH, channels).permute(0, 3, 1, 2)


def ungroup_by_slices(x: Tensor, height: int, width: int) -> Tensor:
    """[B, C, 4, H*W/4] -> [B, C, H, W]: the inverse of `group_by_slices`."""
    half, channels = width // PATCH, x.shape[1]
    groups = x.permute(0, 2, 3, 1).reshape(-1, PATCH * height, half, channels)
    upper_left, upper_right, lower_left, lower_right = groups.split(height // PATCH, 1)
    rows = torch.cat([upper_left, upper_right], 3), torch.cat([lower_left, lower_right], 3)
    return torch.cat(rows, 2).reshape(-1, height, width, channels).permute(0, 3, 1, 2)


GROUPINGS = {"permute": (group, ungroup), "slices": (group_by_slices, ungroup_by_slices)}
