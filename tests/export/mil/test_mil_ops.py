"""Every operation of the table, through a saved package, against formulas that do not share code.

The packages hold tiny programs written with coremltools' builder. They are converted without
optimization, so that the operation under test is the one that is saved, and once more as fp16 with
all of coremltools' passes.
"""

import gc
from collections.abc import Callable, Iterator
from math import erf, pi, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lesionlite.export.mil import execute as mil
from lesionlite.export.mil import ops as mil_ops

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)


def normal(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


FED: dict[str, Array] = {
    "x": normal(1, 4, 6, 9),
    "y": normal(1, 4, 6, 9),
    "p": RNG.uniform(0.5, 2, (1, 4, 6, 9)).astype(np.float32),
    "m": normal(2, 3, 5),
    "n": normal(2, 5, 4),
    "mt": normal(2, 5, 3),
    "nt": normal(2, 4, 5),
    "k": normal(5, 4),
}
ROW, VECTOR = normal(1, 4, 1, 1), normal(5)
W, B = normal(8, 4, 3, 3), normal(8)
GROUPED, DEPTHWISE, EVEN = normal(6, 2, 3, 3), normal(4, 1, 3, 3), normal(2, 4, 2, 4)
CONV1D, CONV3D = normal(4, 3, 2), normal(3, 2, 1, 3, 3)
LINEAR = normal(7, 5)
STEPS = np.array([0.01, 0.02, 0.05, 0.1], np.float32)


def along(scales: Array) -> Array:
    """To go with axis 1 of [N, C, H, W]."""
    return scales[:, None, None]


GELU: dict[str, Callable[[Array], Array]] = {
    "EXACT": np.vectorize(lambda x: (1 + erf(x / sqrt(2))) / 2),
    "TANH_APPROXIMATION": lambda x: (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2,
    "SIGMOID_APPROXIMATION": lambda x: 1 / (1 + np.exp(-1.702 * x)),
}


def standardized(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    normal: Array = (x - x.mean(axes, keepdims=True)) / np.sqrt(
        x.var(axes, keepdims=True) + epsilon
    )
    return normal


def pooled(
    x: Array,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pad: tuple[int, int, int, int],
    summary: Callable[[Array], Any],
) -> Array:
    """What `summary` makes of each window; padding (top, bottom, left, right) is NaN in it."""
    around = np.pad(x, ((0, 0), (0, 0), pad[:2], pad[2:]), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(around, kernel, axis=(2, 3))
    windows = windows[:, :, :: strides[0], :: strides[1]]
    return np.apply_along_axis(summary, -1, windows.reshape(*windows.shape[:4], -1))


class Case:
    """How to write an operation with the builder, and what it must give, from the fed arrays."""

    def __init__(self, build: Callable[..., Any], expect: Callable[..., Any], since: int = 16):
        """`since`: the first iOS whose operation set can express it."""
        self.build, self.expect, self.since = build, expect, since


def conv(x: Array, w: Array, b: Array | None, pads: tuple[int, ...], **how: Any) -> Any:
    """Torch's convolution after explicit zeros: (left, right, top, bottom)."""
    padded = F.pad(torch.from_numpy(x), pads)
    return F.conv2d(padded, torch.from_numpy(w), None if b is None else torch.from_numpy(b), **how)


def grid(n: int, out: int, align: bool) -> Array:
    """A [out, n] matrix of MIL's documented linear interpolation along one axis."""
    i = np.arange(out)
    at = i * (n - 1) / (out - 1) if align else (i + 0.5) * n / out - 0.5
    at = at.clip(0, n - 1)
    low = np.floor(at).astype(int).clip(max=n - 2)
    matrix = np.zeros((out, n))
    matrix[i, low], matrix[i, low + 1] = 1 - (at - low), at - low
    return matrix


def bilinear(x: Array, height: int, width: int, align: bool) -> Array:
    rows, columns = grid(x.shape[-2], height, align), grid(x.shape[-1], width, align)
    grown: Array = np.einsum("...hw,ah,bw->...ab", x, rows, columns)
    return grown


def softmax(x: Array, axis: int) -> Array:
    shares: Array = np.exp(x) / np.exp(x).sum(axis, keepdims=True)
    return shares


CASES: dict[str, Case] = {
    "abs": Case(lambda mb, x, **_: mb.abs(x=x), lambda x, **_: np.abs(x)),
    "exp": Case(lambda mb, x, **_: mb.exp(x=x), lambda x, **_: np.exp(x)),
    "relu": Case(lambda mb, x, **_: mb.relu(x=x), lambda x, **_: np.maximum(x, 0)),
    "relu6": Case(
        lambda mb, x, **_: mb.relu6(x=mb.mul(x=x, y=np.float32(8))),
        lambda x, **_: np.minimum(np.maximum(x * 8, 0), 6),
    ),
    "sigmoid": Case(lambda mb, x, **_: mb.sigmoid(x=x), lambda x, **_: 1 / (1 + np.exp(-x))),
    "silu": Case(lambda mb, x, **_: mb.silu(x=x), lambda x, **_: x / (1 + np.exp(-x))),
    "square": Case(lambda mb, x, **_: mb.square(x=x), lambda x, **_: x**2),
    "tanh": Case(lambda mb, x, **_: mb.tanh(x=x), lambda x, **_: np.tanh(x)),
    "leaky_relu": Case(
        lambda mb, x, **_: mb.leaky_relu(x=x, alpha=0.25),
        lambda x, **_: np.where(x >= 0, x, x * 0.25),
    ),
    "clip": Case(
        lambda mb, x, **_: mb.clip(x=x, alpha=-0.5, beta=0.75),
        lambda x, **_: np.minimum(np.maximum(x, -0.5), 0.75),
    ),
    "sqrt": Case(lambda mb, p, **_: mb.sqrt(x=p), lambda p, **_: np.sqrt(p)),
    "log": Case(lambda mb, p, **_: mb.log(x=p), lambda p, **_: np.log(p)),
    "log_epsilon": Case(
        lambda mb, p, **_: mb.log(x=p, epsilon=0.5), lambda p, **_: np.log(p + 0.5)
    ),
    "rsqrt": Case(lambda mb, p, **_: mb.rsqrt(x=p), lambda p, **_: p**-0.5),
    "rsqrt_epsilon": Case(
        lambda mb, p, **_: mb.rsqrt(x=p, epsilon=0.25), lambda p, **_: (p + 0.25) ** -0.5
    ),
    "add": Case(lambda mb, x, y, **_: mb.add(x=x, y=y), lambda x, y, **_: x + y),
    "add_row": Case(lambda mb, x, **_: mb.add(x=ROW, y=x), lambda x, **_: x + ROW),
    "sub": Case(lambda mb, x, y, **_: mb.sub(x=x, y=y), lambda x, y, **_: x - y),
    "sub_from": Case(lambda mb, x, **_: mb.sub(x=np.float32(2), y=x), lambda x, **_: 2 - x),
    "mul": Case(lambda mb, x, y, **_: mb.mul(x=x, y=y), lambda x, y, **_: x * y),
    "real_div": Case(lambda mb, x, p, **_: mb.real_div(x=x, y=p), lambda x, p, **_: x / p),
    "pow": Case(lambda mb, p, x, **_: mb.pow(x=p, y=x), lambda p, x, **_: p**x),
    "maximum": Case(lambda mb, x, y, **_: mb.maximum(x=x, y=y), lambda x, y, **_: np.maximum(x, y)),
    "minimum": Case(lambda mb, x, y, **_: mb.minimum(x=x, y=y), lambda x, y, **_: np.minimum(x, y)),
    "mean": Case(
        lambda mb, x, **_: mb.reduce_mean(x=x, axes=[1, 2, 3], keep_dims=True),
        lambda x, **_: x.mean((1, 2, 3), keepdims=True),
    ),
    "mean_last": Case(lambda mb, x, **_: mb.reduce_mean(x=x, axes=[-1]), lambda x, **_: x.mean(-1)),
    "sum": Case(lambda mb, x, **_: mb.reduce_sum(x=x, axes=[2, -3]), lambda x, **_: x.sum((1, 2))),
    "sum_all": Case(
        lambda mb, x, **_: mb.reshape(x=mb.reduce_sum(x=x, keep_dims=True), shape=[1]),
        lambda x, **_: x.sum()[None],
    ),
    "max": Case(lambda mb, x, **_: mb.reduce_max(x=x, axes=[1]), lambda x, **_: x.max(1)),
    "min": Case(
        lambda mb, x, **_: mb.reduce_min(x=x, axes=[2, 3], keep_dims=True),
        lambda x, **_: x.min((2, 3), keepdims=True),
    ),
    "softmax": Case(lambda mb, x, **_: mb.softmax(x=x, axis=1), lambda x, **_: softmax(x, 1)),
    "softmax_last": Case(lambda mb, x, **_: mb.softmax(x=x), lambda x, **_: softmax(x, -1)),
    "matmul": Case(lambda mb, m, n, **_: mb.matmul(x=m, y=n), lambda m, n, **_: m @ n),
    "matmul_x": Case(
        lambda mb, mt, n, **_: mb.matmul(x=mt, y=n, transpose_x=True),
        lambda mt, n, **_: np.einsum("bkm,bkn->bmn", mt, n),
    ),
    "matmul_y": Case(
        lambda mb, m, nt, **_: mb.matmul(x=m, y=nt, transpose_y=True),
        lambda m, nt, **_: np.einsum("bmk,bnk->bmn", m, nt),
    ),
    "matmul_xy": Case(
        lambda mb, mt, nt, **_: mb.matmul(x=mt, y=nt, transpose_x=True, transpose_y=True),
        lambda mt, nt, **_: np.einsum("bkm,bnk->bmn", mt, nt),
    ),
    "matmul_vector": Case(
        lambda mb, k, **_: mb.matmul(x=VECTOR, y=k), lambda k, **_: np.einsum("k,kn->n", VECTOR, k)
    ),
    "linear": Case(
        lambda mb, m, **_: mb.linear(x=m, weight=LINEAR, bias=B[:7]),
        lambda m, **_: np.einsum("bmk,ok->bmo", m, LINEAR) + B[:7],
    ),
    "linear_plain": Case(
        lambda mb, m, **_: mb.linear(x=m, weight=LINEAR),
        lambda m, **_: np.einsum("bmk,ok->bmo", m, LINEAR),
    ),
    "conv": Case(
        lambda mb, x, **_: mb.conv(x=x, weight=W, bias=B),
        lambda x, **_: conv(x, W, B, (0, 0, 0, 0)),
    ),
    "conv_custom": Case(
        lambda mb, x, **_: mb.conv(
            x=x, weight=W, bias=B, pad_type="custom", pad=[1, 0, 2, 3], strides=[2, 1]
        ),
        lambda x, **_: conv(x, W, B, (2, 3, 1, 0), stride=(2, 1)),
    ),
    # 6 rows, 9 columns, stride 2, kernel 3: 1 row and 2 columns are missing
    "conv_same": Case(
        lambda mb, x, **_: mb.conv(x=x, weight=W, bias=B, pad_type="same", strides=[2, 2]),
        lambda x, **_: conv(x, W, B, (1, 1, 0, 1), stride=2),
    ),
    "conv_same_lower": Case(
        lambda mb, x, **_: mb.conv(x=x, weight=W, bias=B, pad_type="same_lower", strides=[2, 2]),
        lambda x, **_: conv(x, W, B, (1, 1, 1, 0), stride=2),
    ),
    # kernel [2, 4], dilated to [2, 7] over columns: 1 row, 6 columns
    "conv_same_even": Case(
        lambda mb, x, **_: mb.conv(x=x, weight=EVEN, pad_type="same", dilations=[1, 2]),
        lambda x, **_: conv(x, EVEN, None, (3, 3, 0, 1), dilation=(1, 2)),
    ),
    "conv_groups": Case(
        lambda mb, x, **_: mb.conv(
            x=x, weight=GROUPED, pad_type="custom", pad=[2, 2, 1, 1], dilations=[2, 1], groups=2
        ),
        lambda x, **_: conv(x, GROUPED, None, (1, 1, 2, 2), dilation=(2, 1), groups=2),
    ),
    "conv_depthwise": Case(
        lambda mb, x, **_: mb.conv(
            x=x, weight=DEPTHWISE, bias=B[:4], pad_type="custom", pad=[1, 1, 1, 1], groups=4
        ),
        lambda x, **_: conv(x, DEPTHWISE, B[:4], (1, 1, 1, 1), groups=4),
    ),
    "conv1d": Case(
        lambda mb, m, **_: mb.conv(x=m, weight=CONV1D, strides=[2]),
        lambda m, **_: np.stack(
            [np.einsum("bck,ock->bo", m[:, :, i : i + 2], CONV1D) for i in (0, 2)], -1
        ),
    ),
    "conv3d": Case(
        lambda mb, x, **_: mb.conv(x=mb.reshape(x=x, shape=[1, 2, 2, 6, 9]), weight=CONV3D),
        lambda x, **_: np.stack(
            [
                conv(x.reshape(1, 2, 2, 6, 9)[:, :, i], CONV3D[:, :, 0], None, (0, 0, 0, 0)).numpy()
                for i in (0, 1)
            ],
            2,
        ),
    ),
    "reshape": Case(
        lambda mb, x, **_: mb.reshape(x=x, shape=[0, 2, -1, 0]),
        lambda x, **_: x.reshape(1, 2, 12, 9),
    ),
    "reshape_right": Case(
        lambda mb, m, **_: mb.reshape(x=m, shape=[0, -1, 1, 0]),
        lambda m, **_: m.reshape(1, 6, 1, 5),
        since=17,
    ),
    "transpose": Case(
        lambda mb, x, **_: mb.transpose(x=x, perm=[-1, 0, 2, 1]),
        lambda x, **_: np.einsum("abcd->dacb", x),
    ),
    "expand_dims": Case(
        lambda mb, m, **_: mb.expand_dims(x=m, axes=[-2, 1]), lambda m, **_: m[:, None, :, None, :]
    ),
    "squeeze": Case(
        lambda mb, x, **_: mb.squeeze(x=mb.expand_dims(x=x, axes=[4]), axes=[-1]), lambda x, **_: x
    ),
    "squeeze_all": Case(lambda mb, x, **_: mb.squeeze(x=x), lambda x, **_: x[0]),
    "split": Case(
        lambda mb, x, **_: mb.split(x=x, num_splits=3, axis=-1),
        lambda x, **_: (x[..., :3], x[..., 3:6], x[..., 6:]),
    ),
    "split_sizes": Case(
        lambda mb, x, **_: mb.split(x=x, split_sizes=[1, 3], axis=1),
        lambda x, **_: (x[:, :1], x[:, 1:]),
    ),
    "concat": Case(
        lambda mb, x, y, **_: mb.concat(values=[x, y, x], axis=-2),
        lambda x, y, **_: np.concatenate([x, y, x], 2),
    ),
    "tile": Case(
        lambda mb, x, **_: mb.tile(x=x, reps=[1, 2, 1, 3]), lambda x, **_: np.tile(x, (1, 2, 1, 3))
    ),
    "cast_int": Case(
        lambda mb, x, **_: mb.add(
            x=mb.cast(x=mb.mul(x=x, y=np.float32(4)), dtype="int32"), y=np.int32(3)
        ),
        lambda x, **_: np.trunc(x * 4) + 3,
    ),
    "cast_bool": Case(
        lambda mb, x, **_: mb.cast(x=mb.cast(x=mb.relu(x=x), dtype="bool"), dtype="fp32"),
        lambda x, **_: (x > 0).astype(np.float32),
    ),
    "upsample": Case(
        lambda mb, x, **_: mb.upsample_bilinear(x=x, scale_factor_height=2, scale_factor_width=3),
        lambda x, **_: bilinear(x, 12, 27, True),
    ),
    "upsample_unaligned": Case(
        lambda mb, x, **_: mb.upsample_bilinear(
            x=x, scale_factor_height=2, scale_factor_width=3, align_corners=False
        ),
        lambda x, **_: bilinear(x, 12, 27, False),
    ),
    "upsample_centers": Case(
        lambda mb, x, **_: mb.upsample_bilinear(
            x=x, scale_factor_height=2, align_corners=False, half_pixel_centers=True
        ),
        lambda x, **_: bilinear(x, 12, 9, False),
    ),
    # float32(8/6) * 6 lies a little above 8, float32(11/9) * 9 a little below 11
    "upsample_fraction": Case(
        lambda mb, x, **_: mb.upsample_bilinear(
            x=x, scale_factor_height=np.float32(8 / 6), scale_factor_width=np.float32(11 / 9)
        ),
        lambda x, **_: bilinear(x, 8, 11, True),
    ),
    "upsample_rank3": Case(
        lambda mb, m, **_: mb.upsample_bilinear(x=m, scale_factor_height=3),
        lambda m, **_: bilinear(m, 9, 5, True),
    ),
    "sigmoid_hard": Case(
        lambda mb, x, **_: mb.sigmoid_hard(x=x, alpha=0.25, beta=0.4),
        lambda x, **_: np.minimum(np.maximum(x * 0.25 + 0.4, 0), 1),
    ),
    "thresholded_relu": Case(
        lambda mb, x, **_: mb.thresholded_relu(x=x, alpha=0.5),
        lambda x, **_: x * (x >= 0.5),
    ),
    **{
        f"gelu_{mode.lower()}": Case(
            lambda mb, x, mode=mode, **_: mb.gelu(x=x, mode=mode),
            lambda x, formula=formula, **_: x * formula(x.astype(np.float64)),
        )
        for mode, formula in GELU.items()
    },
    "batch_norm": Case(
        lambda mb, x, **_: mb.batch_norm(
            x=x, mean=B[:4], variance=STEPS, gamma=W[0, :, 0, 0], beta=B[4:], epsilon=1e-2
        ),
        lambda x, **_: (
            (x - along(B[:4])) / np.sqrt(along(STEPS) + 1e-2) * along(W[0, :, 0, 0]) + along(B[4:])
        ),
    ),
    "batch_norm_plain": Case(
        lambda mb, x, **_: mb.batch_norm(x=x, mean=B[:4], variance=STEPS),
        lambda x, **_: (x - along(B[:4])) / np.sqrt(along(STEPS) + 1e-5),
    ),
    "layer_norm_last": Case(
        lambda mb, m, **_: mb.layer_norm(x=m, axes=[-1], gamma=VECTOR, beta=VECTOR[::-1].copy()),
        lambda m, **_: standardized(m, (2,), 1e-5) * VECTOR + VECTOR[::-1],
    ),
    "layer_norm_channels": Case(
        lambda mb, x, **_: mb.layer_norm(x=x, axes=[1], gamma=STEPS, epsilon=0.1),
        lambda x, **_: standardized(x, (1,), 0.1) * along(STEPS),
    ),
    "layer_norm_planes": Case(
        lambda mb, x, **_: mb.layer_norm(x=x, axes=[-1, 2]),
        lambda x, **_: standardized(x, (2, 3), 1e-5),
    ),
    "max_pool": Case(
        lambda mb, x, **_: mb.max_pool(
            x=x, kernel_sizes=[3, 2], strides=[2, 1], pad_type="custom", pad=[1, 0, 0, 1]
        ),
        lambda x, **_: pooled(x, (3, 2), (2, 1), (1, 0, 0, 1), np.nanmax),
    ),
    "max_pool_valid": Case(
        lambda mb, x, **_: mb.max_pool(x=x, kernel_sizes=[2, 3], strides=[2, 3], pad_type="valid"),
        lambda x, **_: pooled(x, (2, 3), (2, 3), (0, 0, 0, 0), np.nanmax),
    ),
    "max_pool_ceil": Case(  # no window hangs over
        lambda mb, x, **_: mb.max_pool(
            x=x, kernel_sizes=[2, 3], strides=[2, 3], pad_type="valid", ceil_mode=True
        ),
        lambda x, **_: pooled(x, (2, 3), (2, 3), (0, 0, 0, 0), np.nanmax),
    ),
    "avg_pool": Case(
        lambda mb, x, **_: mb.avg_pool(
            x=x, kernel_sizes=[3, 3], strides=[1, 2], pad_type="custom", pad=[1, 1, 1, 1]
        ),
        lambda x, **_: pooled(x, (3, 3), (1, 2), (1, 1, 1, 1), lambda w: np.nansum(w) / 9),
    ),
    "avg_pool_same_excluding": Case(
        lambda mb, x, **_: mb.avg_pool(
            x=x,
            kernel_sizes=[3, 2],
            strides=[2, 2],
            pad_type="same",
            exclude_padding_from_average=True,
        ),
        lambda x, **_: pooled(x, (3, 2), (2, 2), (0, 1, 0, 1), np.nanmean),
    ),
    "pad": Case(
        lambda mb, x, **_: mb.pad(x=x, pad=[1, 0, 2, 3], mode="constant", constant_val=-2.5),
        lambda x, **_: np.pad(x, ((0, 0), (0, 0), (1, 0), (2, 3)), constant_values=-2.5),
    ),
    "l2_norm": Case(
        lambda mb, x, **_: mb.reduce_l2_norm(x=x, axes=[1, -1], keep_dims=True),
        lambda x, **_: np.sqrt((x**2).sum((1, 3), keepdims=True)),
    ),
    "slice": Case(
        lambda mb, x, **_: mb.slice_by_index(
            x=x,
            begin=[0, 1, 0, -7],
            end=[1, 3, 5, 8],
            stride=[1, 1, 2, 3],
            begin_mask=[True, False, False, False],
            end_mask=[False, False, True, False],
        ),
        lambda x, **_: x[:1, 1:3, 0::2, -7:8:3],
    ),
    "slice_squeeze": Case(
        lambda mb, x, **_: mb.slice_by_index(
            x=x, begin=[0, 2, 0, 0], end=[1, 3, 6, 9], squeeze_mask=[False, True, False, False]
        ),
        lambda x, **_: x[0:1, 2],
    ),
    "quantize": Case(
        lambda mb, x, **_: mb.dequantize(
            input=mb.quantize(
                input=x, scale=np.float32(0.02), zero_point=np.uint8(100), output_dtype="uint8"
            ),
            scale=np.float32(0.02),
            zero_point=np.uint8(100),
        ),
        lambda x, **_: 0.02 * (np.clip(np.rint(x / np.float32(0.02)) + 100, 0, 255) - 100),
        since=17,
    ),
    "quantize_channels": Case(
        lambda mb, x, **_: mb.dequantize(
            input=mb.quantize(input=x, scale=STEPS, axis=1, output_dtype="int8"),
            scale=STEPS,
            axis=1,
        ),
        lambda x, **_: along(STEPS) * np.clip(np.rint(x / along(STEPS)), -128, 127),
        since=17,
    ),
}

Saver = Callable[..., Path]


@pytest.fixture(scope="module")
def save(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saver]:
    """Convert and save what a function builds from named inputs; gives the package's path."""
    ct = pytest.importorskip("coremltools")
    from coremltools.converters.mil.mil import Builder as mb
    from coremltools.converters.mil.mil import Function, Program

    gc.freeze()  # every conversion collects garbage, else from all that coremltools imported

    def save(
        build: Callable[..., Any], target: int, fed: dict[str, Array] = FED, fp16: bool = False
    ) -> Path:
        opset = getattr(ct.target, f"iOS{target}")
        named = {name: mb.placeholder(array.shape) for name, array in fed.items()}
        with Function(named, opset_version=opset) as function:
            outputs = build(mb, **function.inputs)
            function.set_outputs(list(outputs) if isinstance(outputs, tuple) else [outputs])
        program = Program()
        program.add_function("main", function)
        model = ct.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=opset,
            compute_precision=ct.precision.FLOAT16 if fp16 else ct.precision.FLOAT32,
            pass_pipeline=ct.PassPipeline.DEFAULT if fp16 else ct.PassPipeline.EMPTY,
        )
        path = tmp_path_factory.mktemp("package") / "p.mlpackage"
        model.save(str(path))
        return path

    yield save
    gc.unfreeze()


def all_cases(target: int) -> Callable[..., tuple[Any, ...]]:
    """A builder of one program: each result of each case is an output named <case>_<number>."""

    def build(mb: Any, **inputs: Any) -> tuple[Any, ...]:
        outputs = []
        for name, case in CASES.items():
            if case.since <= target:
                results = case.build(mb, **inputs)
                results = results if isinstance(results, tuple | list) else (results,)
                outputs += [mb.identity(x=r, name=f"{name}_{i}") for i, r in enumerate(results)]
        return tuple(outputs)

    return build


@pytest.fixture(scope="module", params=["iOS16", "iOS18", "iOS16-fp16"])
def variant(request: pytest.FixtureRequest, save: Saver) -> tuple[int, bool, Path, dict[str, Any]]:
    """Target, whether fp16, the package with all cases, and what it predicts."""
    target, fp16 = int(request.param[3:5]), request.param.endswith("fp16")
    path = save(all_cases(target), target, fp16=fp16)
    return target, fp16, path, mil.load(path).predict(FED)


@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, variant: tuple[int, bool, Path, dict[str, Any]]) -> None:
    target, fp16, _, predicted = variant
    case = CASES[name]
    if case.since > target:
        pytest.skip(f"iOS {case.since} and later")
    expected = case.expect(**FED)
    for i, right in enumerate(expected if isinstance(expected, tuple) else (expected,)):
        right, found = np.asarray(right), predicted[f"{name}_{i}"]
        assert found.shape == right.shape
        scale = max(1.0, float(np.abs(right).max()))
        assert np.abs(found - right).max() <= (3e-3 if fp16 else 2e-6) * scale


def test_every_operation_of_the_table_was_in_the_file(
    variant: tuple[int, bool, Path, dict[str, Any]],
) -> None:
    target, fp16, path, _ = variant
    if fp16:
        pytest.skip("coremltools optimizes some away")
    later = {"quantize", "dequantize"} if target < 17 else set()
    spec, _ = mil._read(path)
    main = spec.mlProgram.functions["main"]
    saved = {op.type for op in main.block_specializations[main.opset].operations}
    assert mil_ops.OPS.keys() - later <= saved


def test_fp16_results_are_all_fp16_numbers(
    variant: tuple[int, bool, Path, dict[str, Any]],
) -> None:
    """The outputs are declared fp32, so a result that was not rounded would be seen."""
    _, fp16, _, predicted = variant
    kept = {
        name
        for name, value in predicted.items()
        if np.array_equal(value, value.astype(np.float16).astype(value.dtype))
    }
    if fp16:
        assert kept == predicted.keys()
    else:
        assert {"add_0", "conv_0", "softmax_0"}.isdisjoint(kept)


def test_fp16_rounds_and_overflows_after_each_operation(save: Saver) -> None:
    def build(mb: Any, x: Any) -> tuple[Any, ...]:
        half = mb.cast(x=x, dtype="fp16")
        lost = mb.sub(x=mb.add(x=half, y=np.float16(1000)), y=np.float16(1000))
        huge = mb.mul(x=mb.mul(x=half, y=np.float16(400)), y=np.float16(400))
        back = mb.real_div(x=huge, y=np.float16(400))
        return (
            mb.cast(x=lost, dtype="fp32", name="lost"),
            mb.cast(x=back, dtype="fp32", name="back"),
        )

    x = np.array([0.1, 0.3, 1, -0.7], np.float32)
    found: Any = mil.load(save(build, 16, {"x": x})).predict({"x": x})
    half = x.astype(np.float16)
    with np.errstate(over="ignore"):
        back = half * np.float16(400) * np.float16(400) / np.float16(400)
    assert np.array_equal(found["lost"], half + np.float16(1000) - np.float16(1000))
    assert np.array_equal(found["back"], back)
    assert np.isinf(back).tolist() == [False, False, True, True]


CODES = RNG.integers(-128, 128, (4, 6), dtype=np.int8)
SCALES, ZEROS = RNG.uniform(0.01, 0.02, 4).astype(np.float32), np.arange(4, dtype=np.int8)
MASK = RNG.random((4, 6)) < 0.5
LUT = normal(4)
INDICES = RNG.integers(0, 4, (4, 6))


def packed_pairs(indices: Array) -> Array:
    """Four 2-bit numbers to a byte, the first lowest."""
    quads = indices.reshape(-1, 4)
    return np.asarray((quads << np.array([0, 2, 4, 6])).sum(1), np.uint8)


def test_compressed_weights(save: Saver) -> None:
    def build(mb: Any, x: Any) -> tuple[Any, ...]:
        weights = {
            "affine": mb.constexpr_affine_dequantize(
                quantized_data=CODES, zero_point=ZEROS, scale=SCALES, axis=0
            ),
            "lut": mb.constexpr_lut_to_dense(
                indices=packed_pairs(INDICES), lut=LUT, shape=np.array([4, 6], np.uint32)
            ),
            "sparse": mb.constexpr_sparse_to_dense(
                nonzero_data=VECTOR[np.arange(MASK.sum()) % 5],
                mask=np.packbits(MASK, bitorder="little"),
                shape=np.array([4, 6], np.uint32),
            ),
            "cast": mb.constexpr_cast(
                source_val=EVEN[0, :, 0].astype(np.float16), output_dtype="fp32"
            ),
        }
        return tuple(mb.add(x=x, y=weight, name=name) for name, weight in weights.items())

    x = np.zeros((1, 1), np.float32)
    found: Any = mil.load(save(build, 16, {"x": x})).predict({"x": x})
    sparse = np.zeros((4, 6), np.float32)
    sparse[MASK] = VECTOR[np.arange(MASK.sum()) % 5]
    right = (CODES.astype(np.float32) - ZEROS[:, None]) * SCALES[:, None]
    assert np.allclose(found["affine"], right, rtol=1e-6, atol=0)
    assert np.array_equal(found["lut"], LUT[INDICES])
    assert np.array_equal(found["sparse"], sparse)
    assert np.array_equal(found["cast"], EVEN[0, :, 0].astype(np.float16))


def test_compressed_weights_of_ios_18(save: Saver) -> None:
    offset = np.arange(8, dtype=np.int8).reshape(4, 2)
    scale = RNG.uniform(0.01, 0.02, (4, 2)).astype(np.float32)

    def build(mb: Any, x: Any) -> tuple[Any, ...]:
        from coremltools.converters.mil.mil import types

        indices = INDICES.astype(types.np_uint2_dtype)
        blocks = mb.constexpr_blockwise_shift_scale(data=CODES, scale=scale, offset=offset)
        lut = mb.constexpr_lut_to_dense(indices=indices, lut=LUT.reshape(1, 1, 4, 1))
        return mb.add(x=x, y=blocks, name="blocks"), mb.add(x=x, y=lut, name="lut")

    x = np.zeros((1, 1), np.float32)
    found: Any = mil.load(save(build, 18, {"x": x})).predict({"x": x})
    right = [
        [(float(CODES[i, j]) - offset[i, j // 3]) * scale[i, j // 3] for j in range(6)]
        for i in range(4)
    ]
    assert np.allclose(found["blocks"], right, rtol=1e-6, atol=0)
    assert np.array_equal(found["lut"], LUT[INDICES])


X = {"x": FED["x"]}


@pytest.mark.parametrize(
    ("named", "build"),
    [
        ("operation topk", lambda mb, x: mb.topk(x=x, k=2, axis=1)[0]),
        ("operation cumsum, erf", lambda mb, x: mb.erf(x=mb.cumsum(x=x, axis=1))),
        (
            "pooling with ceil_mode",
            lambda mb, x: mb.max_pool(
                x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid", ceil_mode=True
            ),
        ),
        (
            "slice_by_index that runs backwards",
            lambda mb, x: mb.slice_by_index(
                x=x, begin=[0, 0, 5, 0], end=[1, 4, 0, 9], stride=[1, 1, -1, 1]
            ),
        ),
        ("pad with mode", lambda mb, x: mb.pad(x=x, pad=[1, 1], mode="reflect")),
        ("concat with interleave", lambda mb, x: mb.concat(values=[x, x], axis=1, interleave=True)),
        (
            "upsample_bilinear with align_corners",
            lambda mb, x: mb.upsample_bilinear(
                x=x, scale_factor_height=2, align_corners=False, half_pixel_centers=False
            ),
        ),
        (
            "real_div .* where the file declares",
            lambda mb, x: mb.cast(
                x=mb.real_div(x=mb.cast(x=x, dtype="int32"), y=np.int32(2)), dtype="fp32"
            ),
        ),
        (
            "cast to int8",
            lambda mb, x: mb.cast(x=mb.cast(x=x, dtype="int8"), dtype="fp32"),
        ),
        (
            "tile .* with a computed reps",
            lambda mb, x: mb.tile(
                x=x, reps=mb.cast(x=mb.reduce_max(x=x, axes=[1, 2, 3]), dtype="int32")
            ),
        ),
    ],
)
def test_what_has_no_certain_meaning_is_refused(
    save: Saver, named: str, build: Callable[..., Any]
) -> None:
    fed = X if "tile" not in named else {"x": normal(1, 2, 2, 2)}
    path = save(build, 17, fed)
    with pytest.raises(mil.UnknownOp, match=f"{named}.*p.mlpackage.*`unverified`"):
        mil.load(path)


def test_rehearsal_compares_results_with_the_file(
    save: Saver, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(lambda mb, x: mb.transpose(x=x, perm=[0, 2, 3, 1]), 16, X)
    assert mil.load(path).predict(X)
    monkeypatch.setitem(mil_ops.OPS, "transpose", lambda x, perm: x)
    with pytest.raises(mil.UnknownOp, match="transpose .* where the file declares"):
        mil.load(path)
    monkeypatch.setitem(mil_ops.OPS, "transpose", lambda x, perm: x.permute([5]))
    with pytest.raises(mil.UnknownOp, match="transpose .*dim"):
        mil.load(path)


def test_values_are_freed_and_constants_kept(save: Saver) -> None:
    def build(mb: Any, x: Any) -> tuple[Any, ...]:
        a = mb.add(x=mb.exp(x=x), y=ROW)
        first, _ = mb.split(x=a, num_splits=2, axis=1)  # half of it is never read
        return mb.tanh(x=a, name="a"), mb.relu(x=first, name="b")

    program = mil.load(save(build, 16, X))
    expected = np.exp(FED["x"]) + ROW
    for _ in range(2):  # a constant that was freed would be missed the second time
        found: Any = program.predict(X)["a"]
        assert np.allclose(found, np.tanh(expected), atol=1e-6)
    graph = program._graph
    slots = graph.execute({0: torch.from_numpy(FED["x"])})
    held = [slot for slot, value in enumerate(slots) if value is not None]
    constants = [slot for slot, value in enumerate(graph.slots) if value is not None]
    assert len(constants) == 1
    assert held == sorted([*constants, *(slot for _, slot, _ in program._outputs)])
