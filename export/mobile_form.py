"""The exact rewrite of timm's MobileViTv2 for phones: same function, fewer operations.

timm's `MobileVitV2Block` unfolds 2x2 patches with rank-6 permutes, which no mobile runtime likes.
With x the normalized input of one attention layer and phi(n) in {0, 1, 2, 3} the place of pixel n
inside its 2x2 patch, the same function is computed in place (separable self-attention: Mehta and
Rastegari 2022, arXiv 2206.02680, eq. 2-4):

- GroupNorm(1) and 1x1 convolutions do not see the order of the pixels: nothing to unfold for them.
- Only the softmax sees patches: it normalizes the one-channel query over pixels of equal phi.
- Scores of a group sum to 1, so sum_n s_n (W_k x_n + b_k) = W_k (sum_n s_n x_n) + b_k: the key
  projection acts on four vectors instead of H*W.
- The query's bias drops out: softmax does not see a constant.
- GroupNorm's scale and shift fold into the 1x1 convolution that follows, BatchNorm into the one
  before it, 1/255 and 1/std into the stem, the temperature into the head.
- A block's residual stream is only ever read through norms, so it may be scaled: by 1/16, folded
  into the weights that write to it. Unscaled, trained networks exceed 255 there, whose square
  float16 cannot hold: the variance overflows wherever a runtime computes in it (Core ML, GPUs).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.contract import Contract

PATCH = 2
STREAM_SCALE = 1 / 16  # a power of two: exact


def fold_batchnorm(conv: nn.Conv2d, norm: Any) -> nn.Conv2d:
    """One convolution equal to `conv` followed by `norm` in evaluation."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    bias = shift if conv.bias is None else shift + conv.bias * scale
    return _like(conv, conv.weight * scale[:, None, None, None], bias)


def fold_affine(norm: nn.GroupNorm, conv: nn.Conv2d) -> nn.Conv2d:
    """One 1x1 convolution equal to `norm`'s scale and shift followed by `conv`.

    W (gamma * x + beta) + b = (W diag gamma) x + (W beta + b).
    """
    bias = conv.weight[:, :, 0, 0] @ norm.bias
    if conv.bias is not None:
        bias = bias + conv.bias
    return _like(conv, conv.weight * norm.weight[None, :, None, None], bias)


def _like(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
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


def _as_linear(conv: nn.Conv2d) -> nn.Linear:
    """The same 1x1 convolution for channels in the last axis."""
    new = nn.Linear(conv.in_channels, conv.out_channels, dtype=conv.weight.dtype)
    new.weight = nn.Parameter(conv.weight[:, :, 0, 0].clone(), requires_grad=False)
    new.bias = conv.bias
    return new


def _into_stream(conv: nn.Conv2d) -> nn.Conv2d:
    """The same convolution, writing to the scaled residual stream."""
    bias = None if conv.bias is None else conv.bias * STREAM_SCALE
    return _like(conv, conv.weight * STREAM_SCALE, bias)


class Normalize(nn.Module):
    """GroupNorm(1) of the scaled stream, without scale and shift: zero mean, unit variance."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps * STREAM_SCALE**2

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        centred = x - x.mean((1, 2, 3), keepdim=True)
        variance = (centred * centred).mean((1, 2, 3), keepdim=True)
        return centred * torch.rsqrt(variance + self.eps)


class Attention(nn.Module):
    """Separable self-attention over the pixels of equal place in their patch, without unfolding.

    `place` is the one-hot [4, H*W] map of phi. It spreads the query over four rows, each masked to
    one group, so that one softmax over the last axis normalizes every group by itself; the product
    with the pixels then gives the four weighted sums, and the product with `place` hands each pixel
    its group's vector back. Layout: the matrix products run over pixels with channels last if
    `channels_last`, so that a runtime that keeps images as NHWC needs no transpose.
    """

    place: Tensor
    place_of_pixel: Tensor
    mask: Tensor
    MASKED = -1e4  # exp(-1e4) is 0 even in float64, and float16 can hold it

    def __init__(
        self, norm: nn.GroupNorm, attn: Any, height: int, width: int, channels_last: bool
    ) -> None:
        super().__init__()
        folded = fold_affine(norm, attn.qkv_proj)
        dim = attn.embed_dim
        assert folded.bias is not None
        query, key, value = folded.weight.split([1, dim, dim])
        _, key_bias, value_bias = folded.bias.split([1, dim, dim])
        self.norm = Normalize(norm.eps)
        self.query = _like(folded, query, None)
        pointwise = _like(folded, key, key_bias)
        self.key = _as_linear(pointwise) if channels_last else pointwise
        self.value = _like(folded, value, value_bias)
        self.act = nn.ReLU()
        self.out_proj = _into_stream(attn.out_proj)
        self.dim, self.height, self.width, self.channels_last = dim, height, width, channels_last
        rows, columns = torch.arange(height) % PATCH, torch.arange(width) % PATCH
        phi = (rows[:, None] * PATCH + columns[None, :]).flatten()
        place = F.one_hot(phi, PATCH**2).to(folded.weight.dtype).T.contiguous()
        self.register_buffer("place", place)
        self.register_buffer("mask", (1 - place) * self.MASKED)
        self.register_buffer("place_of_pixel", place.T.contiguous() if channels_last else None)

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


class FeedForward(nn.Module):
    """Norm, 1x1 convolution, SiLU, 1x1 convolution."""

    def __init__(self, norm: nn.GroupNorm, mlp: Any) -> None:
        super().__init__()
        self.norm = Normalize(norm.eps)
        self.fc1 = fold_affine(norm, mlp.fc1)
        self.act = nn.SiLU()
        self.fc2 = _into_stream(mlp.fc2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return self.fc2(self.act(self.fc1(self.norm(x))))


class TransformerLayer(nn.Module):
    """One pre-norm layer: attention and feed-forward, each with its residual."""

    def __init__(self, layer: Any, height: int, width: int, channels_last: bool) -> None:
        super().__init__()
        self.attn = Attention(layer.norm1, layer.attn, height, width, channels_last)
        self.mlp = FeedForward(layer.norm2, layer.mlp)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        x = x + self.attn(x)
        return x + self.mlp(x)


class ConvAct(nn.Module):
    """A convolution with its BatchNorm folded in, and the activation if it has one."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.conv = fold_batchnorm(block.conv, block.bn)
        self.act = nn.SiLU() if isinstance(block.bn.act, nn.SiLU) else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H', W']."""
        return self.act(self.conv(x))


class Bottleneck(nn.Module):
    """Inverted residual: expand, depthwise, project, and the shortcut if there is one."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.conv1_1x1 = ConvAct(block.conv1_1x1)
        self.conv2_kxk = ConvAct(block.conv2_kxk)
        self.conv3_1x1 = ConvAct(block.conv3_1x1)
        self.residual = block.shortcut is not None

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H', W']."""
        out = self.conv3_1x1(self.conv2_kxk(self.conv1_1x1(x)))
        return x + out if self.residual else out


class MobileBlock(nn.Module):
    """A MobileViTv2 block: depthwise and 1x1 convolution, transformer layers, projection.

    An odd side is resized to the next even one first, as timm does (side 224 gives 7 -> 8).
    """

    def __init__(self, block: Any, height: int, width: int, channels_last: bool) -> None:
        super().__init__()
        even = height + height % PATCH, width + width % PATCH
        self.size = even if even != (height, width) else None
        self.conv_kxk = ConvAct(block.conv_kxk)
        self.conv_1x1 = _into_stream(block.conv_1x1)
        self.transformer = nn.Sequential(
            *[
                TransformerLayer(layer, even[0], even[1], channels_last)
                for layer in block.transformer
            ]
        )
        self.norm = Normalize(block.norm.eps)
        projection = fold_batchnorm(block.conv_proj.conv, block.conv_proj.bn)
        self.conv_proj = fold_affine(block.norm, projection)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H', W']."""
        if self.size is not None:
            x = F.interpolate(x, size=self.size, mode="bilinear", align_corners=True)
        x = self.conv_1x1(self.conv_kxk(x))
        return self.conv_proj(self.norm(self.transformer(x)))


class MobileForm(nn.Module):
    """The whole network from pixels to probabilities, as every artifact holds it.

    Attributes keep timm's module names, so that a quantization plan can speak of both.
    """

    mean: Tensor | None

    def __init__(self, network: Any, contract: Contract, channels_last: bool = False) -> None:
        """Rewrite `network`, which stays as it is.

        Args:
            network: timm's `mobilevitv2_*` in evaluation mode, any float dtype.
            contract: gives the side, the normalization and the temperature.
            channels_last: write the attention's products for runtimes that keep images as NHWC.

        Raises:
            LesionliteError: if the network is not a MobileViTv2.
        """
        super().__init__()
        self.stem = ConvAct(network.stem)
        std = torch.tensor(contract.std, dtype=self.stem.conv.weight.dtype)
        self.stem.conv.weight.div_(255 * std[None, :, None, None])
        mean = 255 * torch.tensor(contract.mean, dtype=std.dtype)
        # Zero padding surrounds normalized pixels, so the mean cannot fold into the stem's bias.
        self.register_buffer("mean", mean[:, None, None] if mean.any() else None)
        height = width = contract.side // 2
        blocks: list[nn.Module] = []
        for stage in network.stages:
            for block in stage:
                if hasattr(block, "transformer"):
                    new: Any = MobileBlock(block, height, width, channels_last)
                    height, width = new.size or (height, width)
                else:
                    new = Bottleneck(block)
                    stride = block.conv2_kxk.conv.stride[0]
                    height, width = -(-height // stride), -(-width // stride)
                blocks.append(new)
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(network.head.fc.in_features, network.head.fc.out_features)
        self.head.weight = nn.Parameter(network.head.fc.weight / contract.temperature, False)
        self.head.bias = nn.Parameter(network.head.fc.bias / contract.temperature, False)
        self.dtype = self.head.weight.dtype  # FX traces no module's parameter through its dtype
        self.requires_grad_(False).eval()

    def logits(self, image: Tensor) -> Tensor:
        """Image [B, 3, S, S], 0..255 in the network's dtype -> logits / temperature [B, C]."""
        if self.mean is not None:
            image = image - self.mean
        return self.classify(self.blocks(self.stem(image)))

    def classify(self, features: Tensor) -> Tensor:
        """What the last block gives, [B, F, H, W] -> logits / temperature [B, C]."""
        pooled = features.mean((2, 3), keepdim=True)  # without keepdim, TFLite would leave NHWC
        return self.head(pooled.flatten(1))

    def forward(self, image: Tensor) -> Tensor:
        """uint8 [B, S, S, 3] RGB -> float probabilities [B, C]."""
        x = image.permute(0, 3, 1, 2).to(self.dtype)
        return self.logits(x).softmax(-1)
