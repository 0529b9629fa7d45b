"""The operators of a TFLite file, with the layers that they belong to."""

from typing import Any

from lesionlite.export.tflite_file import layer_of, operator_names


def operators(model: Any) -> list[tuple[str, str]]:
    """The name and the layer of each operator of a tree of `tflite_file.parse`."""
    names, graph = operator_names(model), model.subgraphs[0]
    return [
        (names[operator.opcodeIndex], _layer(graph.tensors[operator.outputs[0]].name.decode()))
        for operator in graph.operators
    ]


def _layer(tensor: str) -> str:
    """The layer in the name of a tensor: LAYER/OPERATION in our files, else litert-torch's."""
    return layer_of(tensor) if ";" in tensor else tensor.rpartition("/")[0]


def casts_of_pixels(model: Any) -> list[str]:
    """The layers of the operators that cast uint8 to another type."""
    from ai_edge_litert.schema_py_generated import TensorType

    graph = model.subgraphs[0]
    return [
        layer
        for (name, layer), operator in zip(operators(model), graph.operators, strict=True)
        if name == "CAST" and graph.tensors[operator.inputs[0]].type == TensorType.UINT8
    ]
