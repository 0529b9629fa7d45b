"""How ONNX files turn pixels into normalized floats."""

from typing import Any

import numpy as np


def dequantize_pixels(model: Any) -> None:
    """Turn the pixels into floats with DequantizeLinear instead of Cast.

    With scale 1 and zero point 0, both give the same floats. But on the Hexagon NPU, a Cast from
    uint8 to float gives 1 for every pixel but a black one (onnxruntime-qnn 2.7), so the network
    gives one answer for every image. This function can go when that is mended.
    """
    from onnx import TensorProto, numpy_helper

    for node in casts_of_pixels(model.graph):
        if node.attribute[0].i == TensorProto.FLOAT:
            node.op_type = "DequantizeLinear"
            del node.attribute[:]
            node.input.extend(["pixel.scale", "pixel.zero_point"])
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(1, np.float32), "pixel.scale"),
            numpy_helper.from_array(np.array(0, np.uint8), "pixel.zero_point"),
        ]
    )


def casts_of_pixels(graph: Any) -> list[Any]:
    """The nodes that cast a graph's uint8 inputs, perhaps transposed, to another type."""
    from onnx import TensorProto

    types = {one.name: one.type.tensor_type.elem_type for one in graph.input}
    pixels = {name for name, kind in types.items() if kind == TensorProto.UINT8}
    for node in graph.node:
        if node.op_type in ("Transpose", "Reshape") and pixels.intersection(node.input):
            pixels.update(node.output)
    return [n for n in graph.node if n.op_type == "Cast" and pixels.intersection(n.input)]


def subtract_in_rows(model: Any) -> None:
    """Subtract the mean from whole rows of pixels, before the image is transposed.

    ONNX Runtime moves the transpose of an image behind the first 8-bit convolution, so the mean is
    subtracted from pixel after pixel, three channels at a time, which takes longer than the
    convolution: 0.13 ms of a resnet18's 1.8 ms at 128 pixels.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    turn, floats, minus, *_ = graph.node
    if [turn.op_type, floats.op_type, minus.op_type] != ["Transpose", "DequantizeLinear", "Sub"]:
        return
    (image,) = graph.input
    _, height, width, channels = (one.dim_value for one in image.type.tensor_type.shape.dim)
    mean = next(one for one in graph.initializer if one.name == minus.input[1])
    new = {
        "mean.row": np.tile(numpy_helper.to_array(mean).reshape(-1), width),
        "rows.shape": np.array((1, height, width * channels)),
        "pixels.shape": np.array((1, height, width, channels)),
    }
    graph.initializer.remove(mean)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in new.items())
    chain = [
        helper.make_node("DequantizeLinear", [image.name, *floats.input[1:]], ["floats"]),
        helper.make_node("Reshape", ["floats", "rows.shape"], ["rows"]),
        helper.make_node("Sub", ["rows", "mean.row"], ["rows.centred"]),
        helper.make_node("Reshape", ["rows.centred", "pixels.shape"], ["pixels.centred"]),
        helper.make_node("Transpose", ["pixels.centred"], [minus.output[0]], perm=[0, 3, 1, 2]),
    ]
    for node in chain:
        node.metadata_props.extend(minus.metadata_props)
    del graph.node[:3]
    for node in reversed(chain):
        graph.node.insert(0, node)
