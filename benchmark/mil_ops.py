"""What each Core ML operation computes: the table `OPS` says it with torch.

A function of the table takes the operation's operands (tensors) and attributes (plain Python
values) under the names that Core ML's Model Intermediate Language (MIL) gives them. Defaults are
filled in by coremltools while it reads the file, so they are absent here. Floating-point values
are always float32: the caller rounds them where the file says fp16.

Whatever is not certain raises `UnknownOp`: a guess here would pass for a measurement.
"""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from train.errors import LesionliteError

Ints = Sequence[int]


class UnknownOp(LesionliteError):
    """The file uses an operation, or a mode of one, that has no certain meaning here."""

    def __init__(self, what: str) -> None:
        """`what` names the operation's type and what about it is not known."""
        self.what = what
        super().__init__(
            f"no rule to compute the Core ML operation {what}; the verdict on this file is "
            "`unverified`: check it on a Mac or a phone, or add the operation to "
            "benchmark/mil_ops.py"
        )


def paddings(
    pad_type: str, pad: Ints, size: Ints, kernel: Ints, strides: Ints
) -> list[tuple[int, int]]:
    """Zeros (before, after) each spatial dimension.

    `same` follows coremltools' shape inference and TensorFlow: what is missing for ceil(size /
    stride) outputs, the odd one after the image (`same_lower`: before it). The formula in MIL's
    reference for `conv` ignores strides and holds for stride 1 only.

    Args:
        pad_type: `valid`, `custom`, `same` or `same_lower`.
        pad: [before, after] of each dimension in turn, for `custom` only.
        size: spatial shape of the input, pixels.
        kernel: spatial shape of the kernel, dilation included.
        strides: one for each dimension.
    """
    if pad_type == "valid":
        return [(0, 0)] * len(size)
    if pad_type == "custom":
        return list(zip(pad[::2], pad[1::2], strict=True))
    if pad_type not in ("same", "same_lower"):
        raise UnknownOp(f"with pad_type {pad_type!r}")
    totals = [
        max(0, (ceil(n / s) - 1) * s + k - n) for n, k, s in zip(size, kernel, strides, strict=True)
    ]
    small_large = [(total // 2, total - total // 2) for total in totals]
    return small_large if pad_type == "same" else [(b, a) for a, b in small_large]


def _pad(x: Tensor, pads: list[tuple[int, int]]) -> Tensor:
    # torch wants the last dimension first
    return F.pad(x, [n for before_after in reversed(pads) for n in before_after])


_CONV: tuple[Callable[..., Tensor], ...] = (F.conv1d, F.conv2d, F.conv3d)


def conv(
    x: Tensor,
    weight: Tensor,
    strides: Ints,
    pad_type: str,
    pad: Ints,
    dilations: Ints,
    groups: int,
    bias: Tensor | None = None,
) -> Tensor:
    """[N, C, *D], weight [C', C/groups, *K] -> [N, C', *D']."""
    kernel = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    pads = paddings(pad_type, pad, x.shape[2:], kernel, strides)
    if all(before == after for before, after in pads):  # no copy of the image
        around = [before for before, _ in pads]
    else:
        x, around = _pad(x, pads), [0] * len(pads)
    return _CONV[len(pads) - 1](x, weight, bias, strides, around, dilations, groups)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[*, D], weight [D', D] -> [*, D']."""
    return F.linear(x, weight, bias)


def matmul(x: Tensor, y: Tensor, transpose_x: bool, transpose_y: bool) -> Tensor:
    """NumPy's matmul; the transposes swap the last two axes and mean nothing for rank 1."""
    if transpose_x and x.ndim > 1:
        x = x.transpose(-1, -2)
    if transpose_y and y.ndim > 1:
        y = y.transpose(-1, -2)
    return torch.matmul(x, y)


def reshape(x: Tensor, shape: Ints) -> Tensor:
    """-1 is what remains; 0 is the dimension of `x` at the same place counted from the right."""
    shift = x.ndim - len(shape)  # not 0 from iOS 17 on only; a 0 beyond x's rank means 1
    return x.reshape(
        [n or (x.shape[i + shift] if i + shift >= 0 else 1) for i, n in enumerate(shape)]
    )


def expand_dims(x: Tensor, axes: Ints) -> Tensor:
    """Axes count in the result's rank, in any order."""
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def squeeze(x: Tensor, axes: Ints | None = None) -> Tensor:
    """Drop the given axes where they have size 1, all of size 1 if none are given."""
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


STORED = {"int8": (torch.int8, -128, 127), "uint8": (torch.uint8, 0, 255)}


def quantize(
    input: Tensor,
    scale: float | Tensor,
    output_dtype: str,
    zero_point: int | Tensor | None = None,
    axis: int | None = None,
) -> Tensor:
    """Input / scale + zero_point, rounded, halves to even, and clipped; per channel on `axis`."""
    kind, low, high = STORED[output_dtype]
    steps = (input / _along(scale, input, axis)).round() + _along(zero_point or 0, input, axis)
    return steps.clamp(low, high).to(kind)


def dequantize(
    input: Tensor,
    scale: float | Tensor,
    zero_point: int | Tensor | None = None,
    axis: int | None = None,
) -> Tensor:
    """(input - zero_point) * scale, per channel along `axis` if it is given."""
    shifted = input.float() - _along(zero_point or 0, input, axis)
    return shifted * _along(scale, input, axis)


def _along(value: Any, x: Tensor, axis: int | None) -> Any:
    """A number as it is; a vector, shaped to go with that axis of `x`."""
    if isinstance(value, int | float):
        return value
    shape = [1] * x.ndim
    shape[axis or 0] = -1
    return torch.as_tensor(value).float().reshape(shape)


def split(
    x: Tensor, axis: int, num_splits: int | None = None, split_sizes: Ints | None = None
) -> tuple[Tensor, ...]:
    """Sizes as given, else `num_splits` equal parts."""
    if split_sizes is None:
        return torch.chunk(x, num_splits or 1, axis)  # coremltools has checked that they are equal
    return torch.split(x, list(split_sizes), axis)


def concat(values: list[Tensor], axis: int, interleave: bool) -> Tensor:
    """Join along `axis`."""
    if interleave:
        raise UnknownOp("concat with interleave")
    return torch.cat(values, axis)


_CASTS = {
    "fp16": torch.float32,  # the caller rounds
    "fp32": torch.float32,
    "int32": torch.int32,
    "bool": torch.bool,
}


def cast(x: Tensor, dtype: str) -> Tensor:
    """Floats are cut off towards zero on their way to int32."""
    if dtype not in _CASTS:
        raise UnknownOp(f"cast to {dtype}")
    return x.to(_CASTS[dtype])


def _reduce(reduction: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduce(x: Tensor, keep_dims: bool, axes: Ints | None = None) -> Tensor:
        return reduction(x, tuple(range(x.ndim)) if axes is None else tuple(axes), keep_dims)

    return reduce


def upsample_bilinear(
    x: Tensor,
    scale_factor_height: float,
    scale_factor_width: float,
    align_corners: bool,
    half_pixel_centers: bool | None = None,
) -> Tensor:
    """[*, H, W] -> [*, floor(H * scale), floor(W * scale)], spacing from the sizes, not the scale.

    The product is rounded to float32 before the floor, as coremltools does: 8/7 of 7 is 8.
    """
    if half_pixel_centers is not None and half_pixel_centers == align_corners:
        raise UnknownOp(f"upsample_bilinear with align_corners and {half_pixel_centers=}")
    height, width = x.shape[-2:]
    size = [
        int(np.floor(np.float32(scale) * np.float32(side)))
        for scale, side in ((scale_factor_height, height), (scale_factor_width, width))
    ]
    planes = x.reshape(1, -1, height, width)
    grown = F.interpolate(planes, size=size, mode="bilinear", align_corners=align_corners)
    return grown.reshape(*x.shape[:-2], *size)


OPS: dict[str, Callable[..., Any]] = {
    "abs": lambda x: x.abs(),
    "add": lambda x, y: x + y,
    "cast": cast,
    "clip": lambda x, alpha, beta: x.clamp(alpha, beta),
    "concat": concat,
    "conv": conv,
    "dequantize": dequantize,
    "exp": lambda x: x.exp(),
    "expand_dims": expand_dims,
    "identity": lambda x: x,
    "leaky_relu": lambda x, alpha: F.leaky_relu(x, alpha),
    "linear": linear,
    "log": lambda x, epsilon: (x + epsilon).log(),
    "matmul": matmul,
    "maximum": lambda x, y: torch.maximum(x, y),
    "minimum": lambda x, y: torch.minimum(x, y),
    "mul": lambda x, y: x * y,
    "pow": lambda x, y: x**y,
    "quantize": quantize,
    "real_div": lambda x, y: x / y,
    "reduce_max": _reduce(torch.amax),
    "reduce_mean": _reduce(torch.mean),
    "reduce_min": _reduce(torch.amin),
    "reduce_sum": _reduce(torch.sum),
    "relu": lambda x: x.relu(),
    "relu6": lambda x: x.clamp(0, 6),
    "reshape": reshape,
    "rsqrt": lambda x, epsilon: (x + epsilon).rsqrt(),
    "sigmoid": lambda x: x.sigmoid(),
    "silu": lambda x: F.silu(x),
    "softmax": lambda x, axis: x.softmax(axis),
    "split": split,
    "sqrt": lambda x: x.sqrt(),
    "square": lambda x: x * x,
    "squeeze": squeeze,
    "sub": lambda x, y: x - y,
    "tanh": lambda x: x.tanh(),
    "tile": lambda x, reps: x.repeat(reps),
    "transpose": lambda x, perm: x.permute(perm),
    "upsample_bilinear": upsample_bilinear,
}

# Weights that are stored compressed: coremltools itself expands them while the file is read.
COMPRESSED = frozenset(
    {
        "constexpr_affine_dequantize",
        "constexpr_blockwise_shift_scale",
        "constexpr_cast",
        "constexpr_lut_to_dense",
        "constexpr_sparse_to_dense",
    }
)

# Inputs that are tensors; all others are attributes and become plain Python values.
OPERANDS = frozenset({"x", "y", "weight", "bias", "values", "input"})

# The results are some of the operands' values, so fp16 needs no rounding.
EXACT = frozenset(
    {"abs", "concat", "expand_dims", "identity", "maximum", "minimum", "reduce_max", "reduce_min"}
    | {"relu", "reshape", "split", "squeeze", "tile", "transpose"}
)
