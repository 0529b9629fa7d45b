"""timm's MobileViTv2 rewritten for phones: exactly the same function, from fewer operations.

timm's `MobileVitV2Block` unfolds 2x2 patches with rank-6 permutes, which suit no mobile runtime.
This form computes the same function without unfolding (separable self-attention: Mehta and
Rastegari 2022, arXiv 2206.02680, eq. 2-4). Let x be the normalized input of one attention layer,
and phi(n) in {0, 1, 2, 3} the position of pixel n in its 2x2 patch.

- GroupNorm(1) and 1x1 convolutions do not depend on the order of the pixels, so they need no
  unfolding.
- Only the softmax depends on patches: it normalizes the one-channel query over pixels of equal phi.
- The scores of a group sum to 1, so sum_n s_n (W_k x_n + b_k) = W_k (sum_n s_n x_n) + b_k: the key
  projection can act on four vectors instead of H*W.
- The query needs no bias, because softmax ignores a constant.
- GroupNorm's scale and shift fold into the 1x1 convolution after it, BatchNorm into the convolution
  before it, 1/255 and 1/std into the stem, temperature and logit adjustment into the head.
- Only norms read a block's residual stream, so the stream may be scaled. The factor 1/16 is folded
  into the weights that write to it. Without it, trained networks exceed 255 in the stream. float16
  cannot hold the square of that, so the variance would overflow in float16 (Core ML, GPUs).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.forms.attention import (
    GROUPINGS,
    NCHW,
    PATCH,
    Attention,
    GroupedAttention,
    Normalize,
    Variant,
    into_stream,
)
from lesionlite.export.forms.base import FromPixels
from lesionlite.export.forms.fold import as_pointwise, calibrated_layer, fold_affine, fold_batchnorm


def same_activation(act: nn.Module) -> nn.Module:
    """A new module that computes timm's activation, which must be SiLU or none.

    Raises:
        LesionliteError: it is another one; this form would compute a different function.
    """
    for known in (nn.SiLU, nn.Identity):
        if isinstance(act, known):
            return known()
    raise LesionliteError(
        f"the network has the activation {type(act).__name__}, but the mobile form of MobileViTv2 "
        "has only SiLU, timm's default; train a network with the default activation"
    )


class FeedForward(nn.Module):
    """Norm, 1x1 convolution, SiLU, 1x1 convolution."""

    def __init__(self, norm: nn.GroupNorm, mlp: Any, variant: Variant) -> None:
        super().__init__()
        self.norm = Normalize(norm.eps, variant)
        self.fc1 = fold_affine(norm, mlp.fc1)
        self.act = same_activation(mlp.act)
        self.fc2 = into_stream(mlp.fc2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return self.fc2(self.act(self.fc1(self.norm(x))))


class TransformerLayer(nn.Module):
    """One pre-norm layer: attention and feed-forward, each with a residual connection."""

    def __init__(self, layer: Any, height: int, width: int, variant: Variant) -> None:
        super().__init__()
        kind = GroupedAttention if variant.grouping else Attention
        self.attn = kind(layer.norm1, layer.attn, height, width, variant)
        self.mlp = FeedForward(layer.norm2, layer.mlp, variant)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        x = x + self.attn(x)
        return x + self.mlp(x)


class ConvAct(nn.Module):
    """A convolution with BatchNorm folded in, and its activation, if any."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.conv = fold_batchnorm(block.conv, block.bn)
        self.act = same_activation(block.bn.act)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H', W']."""
        return self.act(self.conv(x))


class Bottleneck(nn.Module):
    """Inverted residual: expand, depthwise, project, and the shortcut, if any."""

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

    def __init__(self, block: Any, height: int, width: int, variant: Variant) -> None:
        super().__init__()
        even = height + height % PATCH, width + width % PATCH
        self.size = even if even != (height, width) else None
        self.even, self.grouping = even, variant.grouping
        self.conv_kxk = ConvAct(block.conv_kxk)
        self.conv_1x1 = into_stream(block.conv_1x1)
        self.transformer = nn.Sequential(
            *[TransformerLayer(layer, even[0], even[1], variant) for layer in block.transformer]
        )
        self.norm = Normalize(block.norm.eps, variant)
        projection = fold_batchnorm(block.conv_proj.conv, block.conv_proj.bn)
        self.conv_proj = fold_affine(block.norm, projection)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H', W']."""
        if self.size is not None:
            x = F.interpolate(x, size=self.size, mode="bilinear", align_corners=True)
        x = self.conv_1x1(self.conv_kxk(x))
        if self.grouping:
            group, ungroup = GROUPINGS[self.grouping]
            x = ungroup(self.norm(self.transformer(group(x, *self.even))), *self.even)
        else:
            x = self.norm(self.transformer(x))
        return self.conv_proj(x)


class MobileForm(FromPixels):
    """The whole network from pixels to probabilities, as every artifact holds it.

    Modules have the names of timm's, so the names in a quantization plan fit both networks.
    """

    mean: Tensor | None

    def __init__(self, network: Any, contract: Contract, variant: Variant = NCHW) -> None:
        """Rewrite `network`, without changing it.

        Args:
            network: timm's `mobilevitv2_*` in evaluation mode, any float dtype.
            contract: has the side, the normalization, the temperature and the logit adjustment.
            variant: how to write norms and attention for the runtime.

        Raises:
            LesionliteError: an activation is neither SiLU nor absent.
        """
        super().__init__(network.stem.conv.weight.dtype, variant.cast_first)
        self.stem = ConvAct(network.stem)
        std = torch.tensor(contract.std, dtype=self.stem.conv.weight.dtype)
        self.stem.conv.weight.div_(255 * std[None, :, None, None])
        mean = 255 * torch.tensor(contract.mean, dtype=std.dtype)
        # The stem pads with zeros after normalization, so the mean cannot fold into its bias.
        self.register_buffer("mean", mean[:, None, None] if mean.any() else None)
        height = width = -(-contract.side // 2)
        blocks: list[nn.Module] = []
        for stage in network.stages:
            for block in stage:
                if hasattr(block, "transformer"):
                    new: Any = MobileBlock(block, height, width, variant)
                    height, width = new.size or (height, width)
                else:
                    new = Bottleneck(block)
                    stride = block.conv2_kxk.conv.stride[0]
                    height, width = -(-height // stride), -(-width // stride)
                blocks.append(new)
        self.blocks = nn.Sequential(*blocks)
        head = calibrated_layer(network.head.fc, contract)
        self.pointwise_head = variant.pointwise_head
        self.head: nn.Module = as_pointwise(head) if self.pointwise_head else head
        self.requires_grad_(False).eval()

    def logits(self, image: Tensor) -> Tensor:
        """As `FromPixels.logits`."""
        if self.mean is not None:
            image = image - self.mean
        return self.classify(self.blocks(self.stem(image)))

    def classify(self, features: Tensor) -> Tensor:
        """Features of the last block, [B, F, H, W] -> calibrated logits [B, C]."""
        pooled = features.mean((2, 3), keepdim=True)  # else the TFLite converter would leave NHWC
        if self.pointwise_head:
            return self.head(pooled).flatten(1)
        return self.head(pooled.flatten(1))
