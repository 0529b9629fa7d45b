"""Layers of ONNX files, written so that ONNX Runtime computes them fast, and as the plan says."""

from collections import Counter
from copy import deepcopy
from typing import Any

import numpy as np


def pool_means(model: Any) -> None:
    """Write each mean over all pixels as GlobalAveragePool.

    ONNX Runtime (1.32) executes that between integers in integers, and between convolutions of
    floats in their layout; before and behind a ReduceMean it converts. With ReduceMean, ten times,
    a w8a8 mobilenetv3_small_100 took 1.06 times as long, and in fp32 1.02 times.
    """
    from onnx import numpy_helper

    constants = {one.name: one for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "ReduceMean" and node.input[-1] in constants:
            axes = numpy_helper.to_array(constants[node.input[-1]]).tolist()
            keeps = {one.name: one.i for one in node.attribute}.get("keepdims", 1)
            if axes == [2, 3] and keeps:
                node.op_type = "GlobalAveragePool"
                del node.attribute[:], node.input[1:]


def float_stem(model: Any) -> None:
    """Compute the first convolution in float, if a hard swish follows.

    Pixels and hard swishes are floats, so 8 bits would be converted on both sides. And ONNX Runtime
    (1.32) computes a convolution of three channels more slowly in 8 bits than in float, where the
    hard swish is part of it: a w8a8 mobilenetv3_small_100 took 1.13 times as long, and 1.03 times
    in a browser. This function can go when ONNX Runtime has a hard swish of integers.
    """
    graph = model.graph
    made_by = {name: node for node in graph.node for name in node.output}

    def steps(name: str) -> list[Any]:
        """The QuantizeLinear and DequantizeLinear that make a tensor; nothing else."""
        last = made_by.get(name)
        if last is None or last.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            return []
        return [*steps(last.input[0]), last]

    stem = next((node for node in graph.node if node.op_type == "Conv"), None)
    if stem is None or not steps(stem.input[0]) or not steps(stem.input[1]):
        return
    behind = _behind(graph, stem)
    if {one.op_type for one in behind} == {"HardSwish"}:
        stem.input[0] = steps(stem.input[0])[0].input[0]
        for node in behind:
            node.input[0] = stem.output[0]
        _weigh_in_float(graph, stem, made_by[stem.input[1]])
        _drop_unread(graph)


def _behind(graph: Any, node: Any) -> list[Any]:
    """The nodes that read what a node writes, behind the steps to integers and back."""
    found = []
    for reader in graph.node:
        if node.output[0] in reader.input:
            step = reader.op_type in ("QuantizeLinear", "DequantizeLinear")
            found += _behind(graph, reader) if step else [reader]
    return found


def float_multipliers(model: Any) -> None:
    """Compute depthwise convolutions that give several channels for each one in float.

    ONNX Runtime 1.32 has an integer kernel for one channel each. For others it multiplies a small
    matrix for each channel: a fastvit_t8 took 1.46 of its fp32's time, because of three such layers
    of 7 x 7. What goes in and what comes out stays on the plan's grids, and weights keep their
    values. This function can go when MLAS has such a kernel (`QLinearConv::Compute`,
    `is_depthwise_conv`).
    """
    graph = model.graph
    shapes = {one.name: one.dims for one in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        weight = made_by.get(node.input[1]) if node.op_type == "Conv" else None
        if weight is None or weight.op_type != "DequantizeLinear":
            continue
        channels, each = shapes[weight.input[0]][:2]
        groups = next((one.i for one in node.attribute if one.name == "group"), 1)
        if each == 1 and channels > groups:
            _weigh_in_float(graph, node, weight)
    _drop_unread(graph)


def _weigh_in_float(graph: Any, layer: Any, weight: Any) -> None:
    """Give a layer its 8-bit weights, which a DequantizeLinear makes, as floats of these values."""
    from onnx import numpy_helper

    constants = {one.name: one for one in graph.initializer}
    stored, scale = (numpy_helper.to_array(constants[name]) for name in weight.input[:2])
    real = stored.astype(np.float32) * scale.reshape(-1, *[1] * (stored.ndim - 1))
    name = f"{weight.output[0]}.in_float"
    graph.initializer.append(numpy_helper.from_array(real, name))
    layer.input[1] = name


def _drop_unread(graph: Any) -> None:
    """Remove nodes that nothing reads, from the last to the first, and then such constants."""
    read = Counter(name for node in graph.node for name in node.input)
    read.update(one.name for one in graph.output)
    for node in reversed(list(graph.node)):
        if not any(read[name] for name in node.output):
            read.subtract(node.input)
            graph.node.remove(node)
    for one in list(graph.initializer):
        if not read[one.name]:
            graph.initializer.remove(one)


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
    nodes = deepcopy(nodes)
    del graph.node[:]
    graph.node.extend(nodes)
