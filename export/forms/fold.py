"""Fold norms into the layers beside them, and write a layer as another kind of layer."""

from typing import Any

import torch
from torch import Tensor, nn

from lesionlite.contract import Contract


def fold_batchnorm(conv: nn.Conv2d, norm: Any) -> nn.Conv2d:
    """One convolution equal to `conv` followed by the BatchNorm `norm` in evaluation mode."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    bias = shift if conv.bias is None else shift + conv.bias * scale
    return with_weights(conv, conv.weight * scale[:, None, None, None], bias)


def fold_affine(norm: nn.GroupNorm, conv: nn.Conv2d) -> nn.Conv2d:
    """One 1x1 convolution equal to the scale and shift of `norm` followed by `conv`.

    W (gamma * x + beta) + b = (W diag(gamma)) x + (W beta + b).
    """
    bias = conv.weight[:, :, 0, 0] @ norm.bias
    if conv.bias is not None:
        bias = bias + conv.bias
    return with_weights(conv, conv.weight * norm.weight[None, :, None, None], bias)


def fold_scale_and_shift(scale: Tensor, shift: Tensor | None, linear: nn.Linear) -> None:
    """Let a linear layer compute scale [I] * x + shift [I] of its input, too; see `fold_affine`."""
    if shift is not None:
        bias = linear.weight.data @ shift
        bias = bias if linear.bias is None else bias + linear.bias.data
        linear.bias = nn.Parameter(bias, requires_grad=False)
    linear.weight.data = linear.weight.data * scale


def calibrated_layer(linear: nn.Linear, contract: Contract) -> nn.Linear:
    """The last layer with the contract's temperature and logit adjustment in its weights."""
    dtype, adjustment = linear.weight.dtype, contract.logit_adjustment
    has_bias = linear.bias is not None or bool(adjustment)
    new = nn.Linear(linear.in_features, linear.out_features, has_bias, dtype=dtype)
    new.weight = nn.Parameter(linear.weight.detach() / contract.temperature, False)
    if has_bias:
        zeros = torch.zeros(linear.out_features, dtype=dtype)
        bias = zeros if linear.bias is None else linear.bias.detach() / contract.temperature
        shift = torch.tensor(adjustment, dtype=dtype) if adjustment else zeros
        new.bias = nn.Parameter(bias + shift, False)
    return new


def with_weights(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A convolution with the settings of `conv` and the given weights."""
    new = nn.Conv2d(
        weight.shape[1] * conv.groups,
        weight.shape[0],
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        conv.dilation,  # type: ignore[arg-type]
        groups=conv.groups,
        bias=bias is not None,
        dtype=weight.dtype,
    )
    new.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        new.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return new


def as_linear(conv: nn.Conv2d) -> nn.Linear:
    """A linear layer equal to a 1x1 convolution, for channels in the last axis."""
    new = nn.Linear(conv.in_channels, conv.out_channels, dtype=conv.weight.dtype)
    new.weight = nn.Parameter(conv.weight[:, :, 0, 0].clone(), requires_grad=False)
    assert conv.bias is not None
    new.bias = nn.Parameter(conv.bias.clone(), requires_grad=False)
    return new


def as_pointwise(linear: nn.Linear) -> nn.Conv2d:
    """A 1x1 convolution equal to a linear layer, for channels in the second axis."""
    new = nn.Conv2d(linear.in_features, linear.out_features, 1, dtype=linear.weight.dtype)
    new.weight = nn.Parameter(linear.weight[:, :, None, None].clone(), requires_grad=False)
    new.bias = nn.Parameter(linear.bias.clone(), requires_grad=False)
    return new
