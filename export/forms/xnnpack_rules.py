"""How operations become what ExecuTorch's XNNPACK delegate takes, so that a file is one partition.

The delegate (executorch 1.4.1) takes no norm, no matrix product in four axes, no sum, and no plain
number as an operand. What it leaves splits the file, and each piece costs time. A rule can go
when the delegate's partitioner takes its operation.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from lesionlite.export.forms import rules as everywhere
from lesionlite.export.forms.capture import Rule, Writer
from lesionlite.export.forms.rules import RULES, below, layernorm

BROADCASTING = ("aten.add.Tensor", "aten.sub.Tensor", "aten.mul.Tensor", "aten.div.Tensor")


class Norm(nn.Module):
    """LayerNorm over the last axis, without scale and shift; products with ones give the means."""

    share: Tensor
    eps: Tensor

    def __init__(self, size: int, eps: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("share", torch.full((1, size), 1 / size, dtype=dtype))
        self.register_buffer("eps", torch.tensor([eps], dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Any float shape -> the same."""
        centred = x - F.linear(x, self.share)
        return centred * torch.rsqrt(F.linear(centred * centred, self.share, self.eps))


class Length(nn.Module):
    """The Euclidean length along the last axis, which stays."""

    ones: Tensor

    def __init__(self, size: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("ones", torch.ones(1, size, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., 1]."""
        return torch.sqrt(F.linear(x * x, self.ones))


class Hardsigmoid(nn.Module):
    """relu6(x + 3) / 6, with tensors in place of numbers."""

    three: Tensor
    sixth: Tensor

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("three", torch.full((1, 1, 1, 1), 3, dtype=dtype))
        self.register_buffer("sixth", torch.full((1, 1, 1, 1), 1 / 6, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return F.relu6(x + self.three) * self.sixth


def _shape(node: Any) -> tuple[Any, ...]:
    return tuple(node.meta["val"].shape)


def _sizes(node: fx.Node) -> list[int]:
    """The shape of what a node gives; -1 for what depends on the number of images."""
    return [size if isinstance(size, int) else -1 for size in _shape(node)]


def _dtype(node: Any) -> torch.dtype:
    made: torch.dtype = node.meta["val"].dtype
    return made


def norm(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """LayerNorm over the last axis."""
    made = layernorm(writer, node, args)
    x, shape, weight, bias, eps = (*made.args, None, None, 1e-5)[:5]
    if len(shape) != 1:
        return made
    affine = writer.affine.pop(made, None)
    writer.graph.erase_node(made)
    plain = Norm(shape[0], eps, _dtype(node.args[0]))
    fresh = writer.module(below(node, "norm"), plain, x)
    if affine is not None:
        writer.affine[fresh] = affine
        return fresh
    scaled = fresh if weight is None else writer.call(torch.mul, fresh, weight)
    return scaled if bias is None else writer.call(torch.add, scaled, bias)


def length(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """The Euclidean norm along the last axis."""
    last, rank = [-1], len(_shape(node.args[0]))
    if args[1:] not in ([2, last, True], [2, [rank - 1], True]):
        return writer.call(node.target, *args)
    size = _shape(node.args[0])[-1]
    return writer.module(below(node, "length"), Length(size, _dtype(node)), args[0])


def product(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """A matrix product of two activations, with the axes before the last two as one."""
    shapes = [_shape(value) for value in node.args]
    both = all(isinstance(value, fx.Node) for value in args)
    if not both or len(shapes[0]) < 3 or shapes[0][:-2] != shapes[1][:-2]:
        return writer.call(node.target, *args)
    flat = [_in_three_axes(writer, value, shape) for value, shape in zip(args, shapes, strict=True)]
    return writer.call(torch.reshape, writer.call(torch.bmm, *flat), _sizes(node))


def _in_three_axes(writer: Writer, x: Any, shape: tuple[Any, ...]) -> fx.Node:
    return writer.call(torch.reshape, x, [-1, *shape[-2:]])


def attention(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """Scaled dot-product attention, with the axes before the last two as one."""
    shapes = [_shape(value) for value in node.args[:3]]
    if len(args) > 3 or any(shape[:-2] != shapes[0][:-2] for shape in shapes):
        return everywhere.attention(writer, node, args)
    query, key, value = (
        _in_three_axes(writer, x, shape) for x, shape in zip(args, shapes, strict=True)
    )
    scores = writer.call(torch.bmm, query, writer.call(torch.transpose, key, -2, -1))
    weights = writer.call(torch.softmax, writer.call(torch.mul, scores, shapes[0][-1] ** -0.5), -1)
    return writer.call(torch.reshape, writer.call(torch.bmm, weights, value), _sizes(node))


def unbind(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """The parts of a tensor along an axis, which goes."""
    x, axis = (*args, 0)[:2]
    parts: Any = node.meta["val"]
    sizes = [size if isinstance(size, int) else -1 for size in parts[0].shape]
    return tuple(
        writer.call(torch.reshape, writer.call(torch.narrow, x, axis, index, 1), sizes)
        for index in range(len(parts))
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
}
