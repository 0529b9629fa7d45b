"""How operations become what ExecuTorch's XNNPACK delegate takes, so that a file is one partition.

The delegate (executorch 1.4.1) takes no norm, no matrix product in four axes, no sum, and no plain
number as an operand. What it leaves splits the file, and each piece costs time. A rule can go
when the delegate's partitioner takes its operation.
"""

from typing import Any

import torch
from torch import fx, nn

from lesionlite.export.forms import rules as everywhere
from lesionlite.export.forms.capture import Rule, Writer
from lesionlite.export.forms.rules import (
    RULES,
    attend,
    below,
    layernorm,
    sizes,
)
from lesionlite.export.forms.units import (
    EveryPixel,
    Hardsigmoid,
    Length,
    LengthOfProducts,
    NormOfProducts,
)

# Of avg_pool2d: image, window, stride, padding, ceil mode, whether padding counts, and divisor.
DEFAULTS: tuple[Any, ...] = (None, [2, 2], [], [0, 0], False, True, None)
BROADCASTING = ("aten.add.Tensor", "aten.sub.Tensor", "aten.mul.Tensor", "aten.div.Tensor")


def _shape(node: Any) -> tuple[Any, ...]:
    return tuple(node.meta["val"].shape)


def _dtype(node: Any) -> torch.dtype:
    made: torch.dtype = node.meta["val"].dtype
    return made


def norm(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """LayerNorm over the last axis."""
    made = layernorm(writer, node, args)
    found = writer.made_by(made)
    if isinstance(found, nn.LayerNorm) and len(found.normalized_shape) == 1:
        writer.modules[str(made.target)] = NormOfProducts(found, _dtype(node))
    return made


def length(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """The Euclidean length along the last axis."""
    made = everywhere.length(writer, node, args)
    if isinstance(writer.made_by(made), Length):
        size = _shape(node.args[0])[-1]
        writer.modules[str(made.target)] = LengthOfProducts(size, _dtype(node))
    return made


def product(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """A matrix product of two activations, with the axes before the last two as one."""
    shapes = [_shape(value) for value in node.args]
    both = all(isinstance(value, fx.Node) for value in args)
    if not both or len(shapes[0]) < 3 or shapes[0][:-2] != shapes[1][:-2]:
        return writer.call(node.target, *args)
    flat = [_in_three_axes(writer, value, shape) for value, shape in zip(args, shapes, strict=True)]
    return writer.call(torch.reshape, writer.call(torch.bmm, *flat), sizes(_shape(node)))


def _in_three_axes(writer: Writer, x: Any, shape: tuple[Any, ...]) -> fx.Node:
    return writer.call(torch.reshape, x, [-1, *shape[-2:]])


def attention(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """Scaled dot-product attention, with the axes before the last two as one."""
    shapes = [_shape(value) for value in node.args[:3]]
    if len(args) > 3 or any(shape[:-2] != shapes[0][:-2] for shape in shapes):
        return everywhere.attention(writer, node, args)
    flat = [_in_three_axes(writer, x, shape) for x, shape in zip(args, shapes, strict=True)]
    made = attend(writer, torch.bmm, flat, shapes[0][-1])
    return writer.call(torch.reshape, made, sizes(_shape(node)))


def unbind(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """The parts of a tensor along an axis, which goes."""
    x, axis = (*args, 0)[:2]
    parts: Any = node.meta["val"]
    return tuple(
        writer.call(torch.reshape, writer.call(torch.narrow, x, axis, index, 1), sizes(part.shape))
        for index, part in enumerate(parts)
    )


def split(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """The parts of a tensor along an axis, which stays."""
    x, _, axis = (*args, 0)[:3]
    parts, start = [], 0
    for part in node.meta["val"]:
        size = part.shape[axis]
        parts.append(writer.call(torch.narrow, x, axis, start, size))
        start += size
    return tuple(parts)


def expand(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """Nothing, where all readers repeat the values on their own."""
    if all(str(reader.target) in BROADCASTING for reader in node.users):
        return args[0]
    return writer.call(node.target, *args)


def hardsigmoid(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """A hard sigmoid."""
    return writer.module(below(node, "hardsigmoid"), Hardsigmoid(_dtype(node)), args[0])


def average(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """An average pooling without padding.

    The delegate takes it only if it would not count padding; and it takes no window of one pixel.
    """
    x, window, stride, padding, ceil, _, divisor = (*args, *DEFAULTS[len(args) :])
    if any(padding) or ceil or divisor is not None:
        return everywhere.pooling(nn.AvgPool2d)(writer, node, args)
    stride = stride or window
    if set(window) == {1}:
        made: nn.Module = EveryPixel(_shape(node)[1], stride, _dtype(node))
    else:
        made = nn.AvgPool2d(window, stride, count_include_pad=False)
    return writer.module(below(node, "avgpool"), made, x)


def quotient(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """A quotient; an integer divisor would be converted to a float outside of the delegate."""
    floats = [float(value) if isinstance(value, int) else value for value in args]
    return writer.call(node.target, *floats)


XNNPACK_RULES: dict[str, Rule] = {
    **RULES,
    "layer_norm": norm,
    "linalg_vector_norm": length,
    "matmul": product,
    "scaled_dot_product_attention": attention,
    "unbind": unbind,
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), split),
    "expand": expand,
    "hardsigmoid": hardsigmoid,
    "avg_pool2d": average,
    "div": quotient,
}
