"""How operations of ATen become modules of a form."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, fx, nn

from lesionlite.errors import LesionliteError
from lesionlite.export.forms.capture import BATCHNORM, COPIES, Rule, Writer, is_read_once
from lesionlite.export.forms.fold import fold_batchnorm, fold_scale_and_shift, with_weights
from lesionlite.export.forms.units import Add, Concatenate, GlobalMean, Length, Multiply

OUTSIDE = "network"  # the name of the network itself, for what no layer of it does


def path(node: fx.Node) -> str:
    """The layer of the network that executes a node, such as "blocks.0.conv"."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return (stack[-1][0] if stack else "") or OUTSIDE


def below(node: fx.Node, name: str) -> str:
    """A name for what a layer does without a layer of its own."""
    return f"{path(node)}.{name}"


def convolution(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """A convolution of any kind; with weights that depend on the image, a function."""
    defaults: list[Any] = [None, [1, 1], [0, 0], [1, 1], 1]
    x, weight, bias, stride, padding, dilation, groups = args + defaults[len(args) - 2 :]
    if not isinstance(weight, Tensor) or isinstance(padding, str) or weight.dim() != 4:
        return writer.call(node.target, *args)
    window = nn.Conv2d(1, 1, 1, tuple(stride), tuple(padding), tuple(dilation))
    window.groups = groups
    return writer.module(path(node), with_weights(window, weight, bias), x)


def linear(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """A linear layer; with weights that depend on the image, a function."""
    x, weight, bias = (*args, None)[:3]
    if not isinstance(weight, Tensor):
        return writer.call(node.target, *args)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, dtype=weight.dtype)
    layer.weight = nn.Parameter(weight.clone(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.clone(), requires_grad=False)
    if x in writer.affine:
        scale, shift = writer.affine.pop(x)
        fold_scale_and_shift(scale, shift, layer)
    return writer.module(path(node), layer, x)


def layernorm(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """LayerNorm; if only a linear layer reads it, that computes the scale and the shift."""
    defaults: list[Any] = [None, None, 1e-5]
    x, shape, weight, bias, eps = (args + defaults[len(args) - 2 :])[:5]
    if isinstance(weight, fx.Node) or isinstance(bias, fx.Node):
        return writer.call(node.target, *args)
    norm = nn.LayerNorm(shape, eps, elementwise_affine=False)
    made = writer.module(below(node, "norm"), norm, x)
    if weight is not None and len(shape) == 1 and _only_a_linear_layer_reads(node):
        writer.affine[made] = weight, bias
    else:
        for name, value in (("weight", weight), ("bias", bias)):
            setattr(norm, name, None if value is None else nn.Parameter(value))
    return made


def _only_a_linear_layer_reads(node: fx.Node) -> bool:
    (reader,) = node.users if len(node.users) == 1 else (None,)
    return reader is not None and str(reader.target) == "aten.linear.default"


def length(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """The Euclidean length along the last axis; other norms of vectors are functions."""
    last = [node.args[0].meta["val"].dim() - 1]  # type: ignore[union-attr]
    if args[1:] not in ([2, [-1], True], [2, last, True]):
        return writer.call(node.target, *args)
    return writer.module(below(node, "length"), Length(), args[0])


def softmax(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """A softmax."""
    if len(args) > 2 and args[2]:  # in another dtype
        return writer.call(node.target, *args)
    return writer.module(below(node, "softmax"), nn.Softmax(args[1]), args[0])


def batchnorm(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """BatchNorm: folded into the convolution before it; else a depthwise 1x1 convolution."""
    x, weight, bias, mean, var, _, eps = args
    ones = torch.ones_like(var)
    norm = SimpleNamespace(
        weight=ones if weight is None else weight,
        bias=torch.zeros_like(var) if bias is None else bias,
        running_mean=mean,
        running_var=var,
        eps=eps,
    )
    before = writer.made_by(x)
    if isinstance(before, nn.Conv2d) and is_read_once(node.args[0]):
        writer.modules[str(x.target)] = fold_batchnorm(before, norm)
        return (x,)
    channels = len(var)
    if node.args[0].meta["val"].dim() == 4:  # type: ignore[union-attr]
        plain = nn.Conv2d(channels, channels, 1, groups=channels, bias=False, dtype=var.dtype)
        plain.weight = nn.Parameter(ones[:, None, None, None], requires_grad=False)
        return (writer.module(path(node), fold_batchnorm(plain, norm), x),)
    scale = norm.weight / torch.sqrt(var + eps)
    return (writer.call(torch.add, writer.call(torch.mul, x, scale), norm.bias - mean * scale),)


def getitem(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """One of several results."""
    several, index = args
    return several[index] if isinstance(several, tuple) else writer.call(node.target, *args)


def same(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """What changes no value: copies, dropout in evaluation mode."""
    return args[0]


def nothing(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """What only checks."""
    return None


def sizes(shape: Any) -> list[int]:
    """A shape as a view takes it: -1 for what depends on the number of images."""
    return [size if isinstance(size, int) else -1 for size in shape]


def reshape(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """A view, which after the copies are gone may need one."""
    given = sizes(node.meta["val"].shape)
    if given.count(-1) > 1:
        raise LesionliteError(
            f"{path(node)} reshapes to {node.meta['val'].shape}, where two sizes depend on the "
            "number of images; choose another network"
        )
    return writer.call(torch.reshape, args[0], given)


def activation(make: Any) -> Rule:
    """The rule of an activation, given a function that makes its module from further arguments."""

    def rule(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
        module = make(*args[1:])
        name = type(module).__name__.lower()
        return writer.module(below(node, name), module, args[0])

    return rule


def clipping(low: float = -1.0, high: float = 1.0) -> nn.Module:
    """ReLU6 or another clipping."""
    return nn.ReLU6() if (low, high) == (0, 6) else nn.Hardtanh(low, high)


def combining(module: type[nn.Module]) -> Rule:
    """The rule of a sum or product: of two tensors a module, with a constant a function.

    A constant for each channel is folded into the layer before it.
    """

    def rule(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
        at = 1 if isinstance(args[0], Tensor) else 0  # of the tensor that is no constant
        if _folds_into_layer(writer, node, args, at, module is Multiply):
            return args[at]
        if len(args) == 2 and all(isinstance(value, fx.Node) for value in args):
            return writer.module(below(node, module.__name__.lower()), module(), *args)
        return writer.call(node.target, *args)

    return rule


def _folds_into_layer(
    writer: Writer, node: fx.Node, args: list[Any], at: int, scales: bool
) -> bool:
    """Fold a constant for each channel into the layer that makes the other argument, if any."""
    if len(args) != 2:
        return False
    x, value = args[at], args[1 - at]
    layer: Any = writer.made_by(x)
    if not isinstance(layer, nn.Conv2d | nn.Linear) or not isinstance(value, Tensor):
        return False
    channels, tail = len(layer.weight), 2 if isinstance(layer, nn.Conv2d) else 0
    shape = (channels, *[1] * tail)
    if not is_read_once(node.args[at]):
        return False
    if value.shape[-len(shape) :] != shape or value.numel() != channels:
        return False
    flat = value.flatten()
    bias = torch.zeros_like(flat) if layer.bias is None else layer.bias.data
    if scales:
        layer.weight.data = layer.weight.data * flat.reshape(-1, *[1] * (layer.weight.dim() - 1))
    if layer.bias is not None or not scales:
        layer.bias = nn.Parameter(bias * flat if scales else bias + flat, requires_grad=False)
    return True


def concatenate(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """Several tensors behind one another."""
    parts, axis = (*args, 0)[:2]
    return writer.module(below(node, "concatenate"), Concatenate(axis), *parts)


def mean(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """A mean; over all pixels, a module."""
    x, axes, keep = (*args, False)[:3]
    value: Any = node.args[0].meta["val"]  # type: ignore[union-attr]
    if value.dim() != 4 or sorted(axis % 4 for axis in axes or ()) != [2, 3]:
        return writer.call(node.target, *args)
    made = writer.module(below(node, "mean"), GlobalMean(), x)
    return made if keep else writer.call(torch.flatten, made, 1)


def adaptive_mean(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """Adaptive average pooling to one pixel; to more, a function."""
    if list(args[1]) != [1, 1]:
        return writer.call(node.target, *args)
    return writer.module(below(node, "mean"), GlobalMean(), args[0])


def pooling(make: type[nn.Module]) -> Rule:
    """The rule of a pooling with a window."""

    def rule(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
        window = [tuple(value) if isinstance(value, list) else value for value in args[1:]]
        window[1:2] = [window[1] or window[0]] if len(window) > 1 else []
        name = "maxpool" if make is nn.MaxPool2d else "avgpool"
        return writer.module(below(node, name), make(*window), args[0])

    return rule


def attention(writer: Writer, node: fx.Node, args: list[Any]) -> Any:
    """Scaled dot-product attention, in operations that every runtime has."""
    query, key, value, mask, *_ = (*args, None)
    size: Any = node.args[0].meta["val"].shape[-1]  # type: ignore[union-attr]
    return attend(writer, torch.matmul, [query, key, value], size, mask)


def attend(writer: Writer, product: Any, parts: list[Any], size: int, mask: Any = None) -> fx.Node:
    """Write attention with a matrix product of the runtime's choice.

    Args:
        writer: gets the operations.
        product: `torch.matmul` or `torch.bmm`.
        parts: query, key and value.
        size: of a query's vector.
        mask: is added to the scores, if there is one.
    """
    query, key, value = parts
    scores = writer.call(product, query, writer.call(torch.transpose, key, -2, -1))
    scores = writer.call(torch.mul, scores, size**-0.5)
    if mask is not None:
        scores = writer.call(torch.add, scores, mask)
    return writer.call(product, writer.call(torch.softmax, scores, -1), value)


RULES: dict[str, Rule] = {
    "conv2d": convolution,
    "linear": linear,
    BATCHNORM: batchnorm,
    "layer_norm": layernorm,
    "linalg_vector_norm": length,
    "softmax": softmax,
    "getitem": getitem,
    **dict.fromkeys(COPIES, same),
    "_assert_tensor_metadata": nothing,
    **dict.fromkeys(("view", "_unsafe_view", "reshape"), reshape),
    "relu": activation(nn.ReLU),
    "relu6": activation(nn.ReLU6),
    "hardtanh": activation(clipping),
    "silu": activation(nn.SiLU),
    "gelu": activation(nn.GELU),
    "sigmoid": activation(nn.Sigmoid),
    "hardswish": activation(nn.Hardswish),
    "hardsigmoid": activation(nn.Hardsigmoid),
    "leaky_relu": activation(nn.LeakyReLU),
    "add": combining(Add),
    "mul": combining(Multiply),
    "cat": concatenate,
    "mean": mean,
    "adaptive_avg_pool2d": adaptive_mean,
    "max_pool2d": pooling(nn.MaxPool2d),
    "avg_pool2d": pooling(nn.AvgPool2d),
    "scaled_dot_product_attention": attention,
}
