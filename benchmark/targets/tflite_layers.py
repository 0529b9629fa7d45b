"""The operators of a TFLite file, with the layers that they belong to."""

from typing import Any

from lesionlite.export.writers.tflite_file import layer_of, operator_names


def operators(model: Any) -> list[tuple[str, str]]:
    """The name and the layer of each operator of a tree of `tflite_file.parse`."""
    names = operator_names(model)
    return [
        (names[operator.opcodeIndex], layer_of_operator(model, operator))
        for operator in model.subgraphs[0].operators
    ]


def layer_of_operator(model: Any, operator: Any) -> str:
    """The layer in the name of a result: LAYER/OPERATION in our files, else litert-torch's."""
    tensor = model.subgraphs[0].tensors[operator.outputs[0]].name.decode()
    return layer_of(tensor) if ";" in tensor else tensor.rpartition("/")[0]
