"""What each Core ML operation computes: the table `OPS`, written in torch.

A function in the table takes an operation's operands (tensors) and attributes (plain Python
values) by their names in Core ML's Model Intermediate Language (MIL). Most attributes have no
default here, because coremltools fills in the defaults while it reads the file. Floating-point
values are float32; the caller rounds them where the file declares fp16.

Anything not certain raises `UnknownOp`, because a guess would be reported as a measurement.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lesionlite.export.mil.spatial import (
    UnknownOp,
    avg_pool,
    conv,
    max_pool,
    pad_edges,
    upsample_bilinear,
)

Ints = Sequence[int]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[*, D], weight [D', D] -> [*, D']."""
    return F.linear(x, weight, bias)


def matmul(x: Tensor, y: Tensor, transpose_x: bool, transpose_y: bool) -> Tensor:
    """As NumPy's matmul. A transpose swaps the last two axes, and does nothing for rank 1."""
    if transpose_x and x.ndim > 1:
        x = x.transpose(-1, -2)
    if transpose_y and y.ndim > 1:
        y = y.transpose(-1, -2)
    return torch.matmul(x, y)


def reshape(x: Tensor, shape: Ints) -> Tensor:
    """Reshape; -1 is inferred, and 0 copies the dimension of `x` at this place from the right.

    A 0 left of the first dimension of `x` means 1. Before iOS 17, a 0 needs equal ranks.
    """
    shift = x.ndim - len(shape)
    return x.reshape(
        [n or (x.shape[i + shift] if i + shift >= 0 else 1) for i, n in enumerate(shape)]
    )


def expand_dims(x: Tensor, axes: Ints) -> Tensor:
    """Insert axes of size 1. The axes are those of the result, in any order."""
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def squeeze(x: Tensor, axes: Ints | None = None) -> Tensor:
    """Drop the given axes of size 1, or all axes of size 1 if none is given."""
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


STORED = {"int8": (torch.int8, -128, 127), "uint8": (torch.uint8, 0, 255)}


def quantize(
    input: Tensor,
    scale: float | Tensor,
    output_dtype: str,
    zero_point: int | Tensor | None = None,
    axis: int | None = None,
) -> Tensor:
    """Round input / scale half to even, add zero_point, and clip; per channel along `axis`."""
    kind, low, high = STORED[output_dtype]
    steps = (input / _along(scale, input, axis)).round_()
    if zero_point is not None:
        steps += _along(zero_point, input, axis)
    return steps.clamp_(low, high).to(kind)


def dequantize(
    input: Tensor,
    scale: float | Tensor,
    zero_point: int | Tensor | None = None,
    axis: int | None = None,
) -> Tensor:
    """(input - zero_point) * scale, per channel along `axis` if it is given."""
    values = input.to(torch.float32, copy=True)
    if zero_point is not None:
        values -= _along(zero_point, input, axis)
    values *= _along(scale, input, axis)
    return values


def _along(value: Any, x: Tensor, axis: int | None) -> Any:
    """A number unchanged; a vector, reshaped so that it broadcasts along that axis of `x`."""
    if isinstance(value, int | float):
        return value
    shape = [1] * x.ndim
    shape[axis or 0] = -1
    return torch.as_tensor(value).float().reshape(shape)


def split(
    x: Tensor, axis: int, num_splits: int | None = None, split_sizes: Ints | None = None
) -> tuple[Tensor, ...]:
    """Split into parts of the given sizes, or into `num_splits` equal parts."""
    if split_sizes is None:
        return torch.chunk(x, num_splits or 1, axis)  # coremltools has checked that they are equal
    return torch.split(x, list(split_sizes), axis)


def concat(values: list[Tensor], axis: int, interleave: bool) -> Tensor:
    """Join along `axis`."""
    if interleave:
        raise UnknownOp("concat with interleave")
    return torch.cat(values, axis)


_CASTS = {
    "fp16": torch.float32,  # the caller rounds to fp16
    "fp32": torch.float32,
    "int32": torch.int32,
    "bool": torch.bool,
}


def cast(x: Tensor, dtype: str) -> Tensor:
    """Convert the element type; floats are truncated towards zero to become int32."""
    if dtype not in _CASTS:
        raise UnknownOp(f"cast to {dtype}")
    return x.to(_CASTS[dtype])


def _reduce(reduction: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduce(x: Tensor, keep_dims: bool, axes: Ints | None = None) -> Tensor:
        return reduction(x, tuple(range(x.ndim)) if axes is None else tuple(axes), keep_dims)

    return reduce


def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    epsilon: float,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
) -> Tensor:
    """[N, C, *D] -> the same shape, normalized by the given statistics of each channel."""
    return F.batch_norm(x, mean, variance, gamma, beta, eps=epsilon)


def layer_norm(
    x: Tensor,
    epsilon: float,
    axes: Ints | None = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
) -> Tensor:
    """Normalize by mean and variance over `axes`; gamma and beta have the shape of these axes."""
    over = sorted(a % x.ndim for a in (range(x.ndim) if axes is None else axes))
    centred = x - x.mean(over, keepdim=True)
    out = centred / (centred.square().mean(over, keepdim=True) + epsilon).sqrt()
    shape = [n if axis in over else 1 for axis, n in enumerate(x.shape)]
    out = out if gamma is None else out * gamma.reshape(shape)
    return out if beta is None else out + beta.reshape(shape)


def gelu(x: Tensor, mode: str) -> Tensor:
    """`x` times the normal cumulative distribution function of `x`, or an approximation of it."""
    if mode == "SIGMOID_APPROXIMATION":
        return x * (1.702 * x).sigmoid()
    if mode not in ("EXACT", "TANH_APPROXIMATION"):
        raise UnknownOp(f"gelu with mode {mode}")
    return F.gelu(x, approximate="none" if mode == "EXACT" else "tanh")


def slice_by_index(
    x: Tensor,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: Sequence[bool] | None = None,
    end_mask: Sequence[bool] | None = None,
    squeeze_mask: Sequence[bool] | None = None,
) -> Tensor:
    """Slice each axis. The masks leave a bound open, or take one index and drop the axis."""
    no = [False] * x.ndim
    steps = stride or [1] * x.ndim
    if min(steps) < 1:
        raise UnknownOp("slice_by_index that runs backwards")
    bounds = zip(
        begin, end, steps, begin_mask or no, end_mask or no, squeeze_mask or no, strict=True
    )
    return x[
        tuple(
            first
            if squeeze
            else slice(None if open_begin else first, None if open_end else last, step)
            for first, last, step, open_begin, open_end, squeeze in bounds
        )
    ]


OPS: dict[str, Callable[..., Any]] = {
    "abs": lambda x: x.abs(),
    "add": lambda x, y: x + y,
    "avg_pool": avg_pool,
    "batch_norm": batch_norm,
    "cast": cast,
    "clip": lambda x, alpha, beta: x.clamp(alpha, beta),
    "concat": concat,
    "conv": conv,
    "dequantize": dequantize,
    "exp": lambda x: x.exp(),
    "expand_dims": expand_dims,
    "gelu": gelu,
    "identity": lambda x: x,
    "layer_norm": layer_norm,
    "leaky_relu": lambda x, alpha: F.leaky_relu(x, alpha),
    "linear": linear,
    "log": lambda x, epsilon: (x + epsilon).log(),
    "matmul": matmul,
    "max_pool": max_pool,
    "maximum": lambda x, y: torch.maximum(x, y),
    "minimum": lambda x, y: torch.minimum(x, y),
    "mul": lambda x, y: x * y,
    "pad": pad_edges,
    "pow": lambda x, y: x**y,
    "quantize": quantize,
    "real_div": lambda x, y: x / y,
    "reduce_l2_norm": _reduce(lambda x, *over: x.square().sum(*over).sqrt()),
    "reduce_max": _reduce(torch.amax),
    "reduce_mean": _reduce(torch.mean),
    "reduce_min": _reduce(torch.amin),
    "reduce_sum": _reduce(torch.sum),
    "relu": lambda x: x.relu(),
    "relu6": lambda x: x.clamp(0, 6),
    "reshape": reshape,
    "rsqrt": lambda x, epsilon: (x + epsilon).rsqrt(),
    "sigmoid": lambda x: x.sigmoid(),
    "sigmoid_hard": lambda x, alpha, beta: (alpha * x + beta).clamp(0, 1),
    "silu": lambda x: F.silu(x),
    "slice_by_index": slice_by_index,
    "softmax": lambda x, axis: x.softmax(axis),
    "split": split,
    "sqrt": lambda x: x.sqrt(),
    "square": lambda x: x * x,
    "squeeze": squeeze,
    "sub": lambda x, y: x - y,
    "tanh": lambda x: x.tanh(),
    "thresholded_relu": lambda x, alpha: torch.where(x < alpha, 0, x),
    "tile": lambda x, reps: x.repeat(reps),
    "transpose": lambda x, perm: x.permute(perm),
    "upsample_bilinear": upsample_bilinear,
}

# Compressed weights: coremltools decompresses them while it reads the file.
COMPRESSED = frozenset(
    {
        "constexpr_affine_dequantize",
        "constexpr_blockwise_shift_scale",
        "constexpr_cast",
        "constexpr_lut_to_dense",
        "constexpr_sparse_to_dense",
    }
)

# Inputs that are tensors. All other inputs are attributes, which become plain Python values.
OPERANDS = frozenset({"x", "y", "weight", "bias", "values", "input"})
PER_CHANNEL = frozenset(
    {"mean", "variance", "gamma", "beta"}
)  # tensors in norms; elsewhere `beta` is a number


def is_operand(op_type: str, name: str) -> bool:
    """Whether this input is a tensor."""
    return name in OPERANDS or (op_type.endswith("_norm") and name in PER_CHANNEL)


# Operations whose results are values of the operands, up to sign, so fp16 needs no rounding.
EXACT = frozenset(
    {"abs", "concat", "expand_dims", "identity", "max_pool", "maximum", "minimum", "reduce_max"}
    | {"reduce_min", "relu", "reshape", "slice_by_index", "split", "squeeze", "tile", "transpose"}
)
