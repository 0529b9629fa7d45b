"""Spell a graph so that ONNX Runtime's optimizer keeps to the plan, and finds what is fast."""

from collections.abc import Container, Mapping
from copy import deepcopy
from math import prod
from typing import Any

import numpy as np

ELEMENTWISE = ("Sigmoid", "Erf", "Mul", "Div", "Add")  # what SiLU and GELU consist of
CHANNELS_LAST, CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def keep_activations(model: Any) -> None:
    """Let ONNX Runtime compute a SiLU of dequantized values as one operation.

    Its optimizer EnsureUniqueDQForNodeUnit (seen in 1.32) gives each reader of a DequantizeLinear
    a copy of it, also where none of them computes in integers. Then QuickGeluFusion does not see
    that the sigmoid and the product read the same. A Flatten stands between, which takes no time;
    a Reshape would not do, because QDQPropagation moves it. This function can go when the runtimes
    have its pull request 27550.
    """
    graph = model.graph
    made_by = {name: node for node in graph.node for name in node.output}
    shapes = {
        one.name: [axis.dim_value for axis in one.type.tensor_type.shape.dim]
        for one in graph.value_info
    }
    wide = {one.name for one in graph.initializer if prod(one.dims) > 1}
    behind: dict[str, list[Any]] = {}  # the nodes to come behind the one that makes a tensor
    for product in graph.node:
        given, steps = _activation(product, made_by, wide)
        image = _is_image(given, made_by)
        if image is None:
            continue
        made = product.output[0]
        product.output[0] = f"{made}.flat"
        opened = _flatten(given, f"{made}.given", image)
        closed = _unflatten(product.output[0], made, shapes[given], image, graph)
        behind.setdefault(given, []).extend(opened)
        behind[product.output[0]] = closed
        for step in (*steps, product):
            step.input[:] = [f"{made}.given" if one == given else one for one in step.input]
            shapes.pop(step.output[0], None)
        for node in (*opened, *closed):
            node.metadata_props.extend(product.metadata_props)
    _replace_nodes(graph, [n for one in graph.node for n in (one, *behind.get(one.output[0], ()))])
    known = deepcopy([one for one in graph.value_info if one.name in shapes])
    del graph.value_info[:]
    graph.value_info.extend(known)


def _activation(
    product: Any, made_by: Mapping[str, Any], wide: Container[str]
) -> tuple[str, list[Any]]:
    """The tensor x of an activation x * f(x) that ends with a product, and the nodes between.

    The name is "" for another product. So it is where a constant in `wide` takes part, which has a
    value for each channel.
    """
    ends, steps = [], []
    for name in product.input if product.op_type == "Mul" else ():
        while name in made_by and made_by[name].op_type in ELEMENTWISE:
            variable = [one for one in made_by[name].input if one in made_by]
            if len(variable) != 1 or any(one in wide for one in made_by[name].input):
                break
            steps.append(made_by[name])
            name = variable[0]
        ends.append(name)
    return (ends[0], steps) if len(ends) == 2 and ends[0] == ends[1] and steps else ("", [])


def _is_image(name: str, made_by: Mapping[str, Any]) -> bool | None:
    """Whether a tensor is what a convolution makes, channels first; None if not dequantized."""
    writer = made_by.get(name)
    if writer is not None and writer.op_type == "Transpose":  # the channels are last already
        return None if _is_image(writer.input[0], made_by) is None else False
    if writer is None or writer.op_type != "DequantizeLinear":
        return None
    quantize = made_by.get(writer.input[0])
    layer = made_by.get(quantize.input[0]) if quantize is not None else None
    return layer is not None and layer.op_type == "Conv"


def _flatten(given: str, made: str, image: bool) -> list[Any]:
    """Nodes that flatten a tensor.

    The channels of an image come last, as integer convolutions have them: their transposes meet
    these, and all of them go.
    """
    from onnx import helper

    if not image:
        return [helper.make_node("Flatten", [given], [made])]
    turned = f"{made}.turned"
    return [
        helper.make_node("Transpose", [given], [turned], perm=CHANNELS_LAST),
        helper.make_node("Flatten", [turned], [made]),
    ]


def _unflatten(given: str, made: str, shape: list[int], image: bool, graph: Any) -> list[Any]:
    """Nodes that undo `_flatten`, for a tensor that had a shape."""
    from onnx import helper, numpy_helper

    if image:
        shape = [shape[axis] for axis in CHANNELS_LAST]
    name, result = f"{given}.shape", f"{given}.turned" if image else made
    graph.initializer.append(numpy_helper.from_array(np.array(shape), name))
    nodes = [helper.make_node("Reshape", [given, name], [result])]
    if image:
        nodes.append(helper.make_node("Transpose", [result], [made], perm=CHANNELS_FIRST))
    return nodes


def _replace_nodes(graph: Any, nodes: list[Any]) -> None:
    """Let a graph have other nodes, some of which may be its own."""
    nodes = deepcopy(nodes)
    del graph.node[:]
    graph.node.extend(nodes)


def keep_floats(model: Any) -> None:
    """Keep ONNX Runtime from quantizing layers that the plan leaves in float.

    Its optimizer WeightBiasQuantization (version 1.21 and later; see its pull requests 22969 and
    25673) quantizes the weights of a float Conv or Gemm between DequantizeLinear and QuantizeLinear
    to 8 bits with one scale, and no session option turns that off. It moved the probabilities of an
    EfficientNet-Lite0 by 0.042 on average, where 0.020 was due. A Clip to the range that the
    integers have anyway stands between, and changes no value. This function can go when the
    optimizer leaves such layers alone.
    """
    from onnx import helper, numpy_helper

    graph, nodes = model.graph, []
    constants = {one.name: one for one in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        source = made_by.get(node.input[0]) if node.input else None
        in_float = node.op_type in ("Conv", "Gemm") and node.input[1] in constants
        if in_float and source is not None and source.op_type == "DequantizeLinear":
            scale, zero = (numpy_helper.to_array(constants[name]) for name in source.input[1:])
            limits = np.iinfo(zero.dtype)
            name = f"{node.input[0]}.in_float.{node.output[0]}"
            bounds = {f"{name}.min": limits.min, f"{name}.max": limits.max}
            for bound, value in bounds.items():
                real = np.float32(scale * (float(value) - float(zero)))
                graph.initializer.append(numpy_helper.from_array(np.array(real), bound))
            clip = helper.make_node("Clip", [node.input[0], *bounds], [name])
            clip.metadata_props.extend(node.metadata_props)
            nodes.append(clip)
            node.input[0] = name
        nodes.append(node)
    _replace_nodes(graph, nodes)
