"""Core ML's operations on images: convolution, padding, pooling and resizing.

`lesionlite.export.mil.ops` describes the arguments.
"""

from collections.abc import Callable, Sequence
from math import ceil

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lesionlite.errors import LesionliteError

Ints = Sequence[int]


class UnknownOp(LesionliteError):
    """A file uses an operation, or a mode of one, that the executor does not implement."""

    def __init__(self, what: str) -> None:
        """`what` names the operation's type and the part of it that is not implemented."""
        self.what = what
        super().__init__(
            f"lesionlite cannot compute the Core ML operation {what}, so the verdict on this file "
            "is `unverified`; check it on a Mac or a phone, or add the operation to "
            "export/mil/ops.py"
        )


def paddings(
    pad_type: str, pad: Ints, size: Ints, kernel: Ints, strides: Ints
) -> list[tuple[int, int]]:
    """The padding (before, after) of each spatial dimension, in pixels.

    `same` follows coremltools' shape inference and TensorFlow. It pads to ceil(size / stride)
    outputs; if the total is odd, the extra pixel comes after the image (`same_lower`: before it).
    The formula in MIL's reference for `conv` ignores strides, so it holds for stride 1 only.

    Args:
        pad_type: `valid`, `custom`, `same` or `same_lower`.
        pad: before and after of each dimension in turn; used by `custom` only.
        size: spatial shape of the input, pixels.
        kernel: spatial shape of the kernel, dilation included.
        strides: one for each dimension.
    """
    if pad_type == "valid":
        return [(0, 0)] * len(size)
    if pad_type == "custom":
        return _before_after(pad)
    if pad_type not in ("same", "same_lower"):
        raise UnknownOp(f"with pad_type {pad_type!r}")
    totals = [
        max(0, (ceil(n / s) - 1) * s + k - n) for n, k, s in zip(size, kernel, strides, strict=True)
    ]
    small_large = [(total // 2, total - total // 2) for total in totals]
    return small_large if pad_type == "same" else [(b, a) for a, b in small_large]


def _before_after(pad: Ints) -> list[tuple[int, int]]:
    return list(zip(pad[::2], pad[1::2], strict=True))


def _pad(x: Tensor, pads: list[tuple[int, int]], value: float = 0) -> Tensor:
    # torch wants the last dimension first
    return F.pad(x, [n for before_after in reversed(pads) for n in before_after], value=value)


def pad_edges(x: Tensor, pad: Ints, mode: str, constant_val: float) -> Tensor:
    """Pad the last axes with a constant; `pad` is before and after of each axis in turn."""
    if mode != "constant":
        raise UnknownOp(f"pad with mode {mode!r}")
    return _pad(x, _before_after(pad), constant_val)


_CONV: tuple[Callable[..., Tensor], ...] = (F.conv1d, F.conv2d, F.conv3d)
_MAX_POOL: tuple[Callable[..., Tensor], ...] = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
_AVG_POOL: tuple[Callable[..., Tensor], ...] = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)


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
    if all(before == after for before, after in pads):  # avoids a padded copy of the image
        around = [before for before, _ in pads]
    else:
        x, around = _pad(x, pads), [0] * len(pads)
    return _CONV[len(pads) - 1](x, weight, bias, strides, around, dilations, groups)


def _windows(
    x: Tensor, kernel_sizes: Ints, strides: Ints, pad_type: str, pad: Ints, ceil_mode: bool
) -> list[tuple[int, int]]:
    """The padding of a pooling. `UnknownOp` if `ceil_mode` adds a window beyond the edge."""
    size = x.shape[2:]
    pads = paddings(pad_type, pad, size, kernel_sizes, strides)
    if ceil_mode and any(
        (n + sum(around) - k) % s
        for n, around, k, s in zip(size, pads, kernel_sizes, strides, strict=True)
    ):
        raise UnknownOp("pooling with ceil_mode and a window beyond the edge")
    return pads


def max_pool(
    x: Tensor, kernel_sizes: Ints, strides: Ints, pad_type: str, pad: Ints, ceil_mode: bool
) -> Tensor:
    """[N, C, *D] -> [N, C, *D']; padding is never the maximum."""
    pads = _windows(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    return _MAX_POOL[len(pads) - 1](_pad(x, pads, -torch.inf), kernel_sizes, strides)


def avg_pool(
    x: Tensor,
    kernel_sizes: Ints,
    strides: Ints,
    pad_type: str,
    pad: Ints,
    exclude_padding_from_average: bool,
    ceil_mode: bool,
) -> Tensor:
    """[N, C, *D] -> [N, C, *D']; padding counts as zeros, or is excluded from the average."""
    pads = _windows(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    pool = _AVG_POOL[len(pads) - 1]
    averages = pool(_pad(x, pads), kernel_sizes, strides)
    if exclude_padding_from_average:
        averages = averages / pool(_pad(torch.ones_like(x[:1, :1]), pads), kernel_sizes, strides)
    return averages


def upsample_bilinear(
    x: Tensor,
    scale_factor_height: float,
    scale_factor_width: float,
    align_corners: bool,
    half_pixel_centers: bool | None = None,
) -> Tensor:
    """[*, H, W] -> [*, floor(H * scale), floor(W * scale)].

    The distance between samples follows from the two sizes, not from the scale. The product is
    rounded to float32 before the floor, as in coremltools, so that 8/7 of 7 is 8.
    """
    if half_pixel_centers is not None and half_pixel_centers == align_corners:
        raise UnknownOp(f"upsample_bilinear with align_corners and {half_pixel_centers=}")
    height, width = x.shape[-2:]
    size = [
        int(np.floor(np.float32(scale) * np.float32(side)))
        for scale, side in ((scale_factor_height, height), (scale_factor_width, width))
    ]
    planes = x.reshape(1, -1, height, width)
    resized = F.interpolate(planes, size=size, mode="bilinear", align_corners=align_corners)
    return resized.reshape(*x.shape[:-2], *size)
