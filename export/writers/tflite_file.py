"""Read and write the tree of objects inside a `.tflite` file, and how its pixels become numbers."""

import re
from collections.abc import Sequence
from itertools import starmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.export.writers.names import numbered


def parse(content: bytes) -> Any:
    """A `.tflite` file as a tree of the schema's objects; all buffers are inside the tree.

    A file may hold the buffers behind the tree, where only their offsets find them.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(content), 0))
    for buffer in model.buffers:
        if buffer.data is None and buffer.offset > 1:
            stored = content[buffer.offset : buffer.offset + buffer.size]
            buffer.data = np.frombuffer(stored, np.uint8)
        buffer.offset = buffer.size = 0
    return model


def pack(model: Any) -> bytes:
    """The content of the file that holds a tree."""
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def operator_names(model: Any) -> list[str]:
    """The name of each operator code of a tree, such as CONV_2D."""
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    return [str(names[max(c.builtinCode, c.deprecatedBuiltinCode)]) for c in model.operatorCodes]


def casts_of_pixels(model: Any) -> list[Any]:
    """The operators of a tree that cast uint8 to another type."""
    from ai_edge_litert.schema_py_generated import TensorType

    names, graph = operator_names(model), model.subgraphs[0]
    return [
        operator
        for operator in graph.operators
        if names[operator.opcodeIndex] == "CAST"
        and graph.tensors[operator.inputs[0]].type == TensorType.UINT8
    ]


def dequantize_pixels(model: Any, in_integers: bool = False) -> None:
    """Turn the pixels into floats with DEQUANTIZE instead of CAST.

    With scale 1 and zero point 0, both give the same floats. But on the Hexagon NPU, a CAST from
    uint8 to float gives 1 for every pixel but a black one (QAIRT 2.51, SM8650), so the network
    gives one answer for every image.

    Args:
        model: a tree of `parse`, which is changed.
        in_integers: whether the pixels become no floats at all. They become int8 first, which
            QUANTIZE does exactly, because it has no kernel from uint8 to int16.
    """
    from ai_edge_litert import schema_py_generated as schema

    names, graph = operator_names(model), model.subgraphs[0]
    readers = {tensor: op for op in graph.operators for tensor in op.inputs}
    for operator in casts_of_pixels(model):
        pixels, floats = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
        pixels.quantization = _grid(1, 0)
        after = readers[operator.outputs[0]]
        if in_integers and names[after.opcodeIndex] == "QUANTIZE":
            floats.type, floats.quantization = schema.TensorType.INT8, _grid(1, -128)
            operator.opcodeIndex = _operator_code(model, schema.BuiltinOperator.QUANTIZE)
        else:
            operator.opcodeIndex = _operator_code(model, schema.BuiltinOperator.DEQUANTIZE)
        operator.builtinOptions, operator.builtinOptionsType = None, 0
    _drop_unused_codes(model)


def layer_of(name: str) -> str:
    """The layer that a tensor of litert-torch is named after; "network" outside every layer.

    The name lists the modules, each as CLASS_ATTRIBUTE, and ends with a number:
    "a.Net/torch.nn.Sequential_blocks/a.Block_0/torch.nn.Conv2d_conv;3" becomes "blocks.0.conv".
    """
    modules = name.split(";")[0].split("/")[1:]
    attributes = [module.rpartition(".")[2].partition("_")[2] for module in modules]
    return ".".join(filter(None, attributes)) or "network"


def name_by_layer(model: Any, layers: Sequence[str]) -> None:
    """Name the results of operators by layer and operation, like stem.conv/CONV_2D.

    Names are unique, with numbers where needed: ai-edge-quantizer refuses other files.

    Args:
        model: a tree of `parse`, which is changed.
        layers: of each tensor of the float file; the tensor with the number 7 may be t7 here.
    """
    names, graph = operator_names(model), model.subgraphs[0]

    def name(operator: Any, tensor: Any) -> str:
        old = tensor.name.decode()
        number = re.match(r"t(\d+)(?=_|;|$)", old)
        layer = layers[int(number[1])] if number else layer_of(old)
        return f"{layer}/{names[operator.opcodeIndex]}"

    made = [(one, graph.tensors[index]) for one in graph.operators for index in one.outputs]
    for (_, tensor), unique in zip(made, numbered(starmap(name, made)), strict=True):
        tensor.name = unique.encode()
    graph.tensors[graph.inputs[0]].name = b"image"


def _grid(scale: float, zero_point: int) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    grid = schema.QuantizationParametersT()
    grid.scale = np.array([scale], np.float32)
    grid.zeroPoint = np.array([zero_point], np.int64)
    return grid


def _operator_code(model: Any, code: int) -> int:
    """The index of an operator code, which is added if the file has no such operator."""
    from ai_edge_litert import schema_py_generated as schema

    for index, known in enumerate(model.operatorCodes):
        if max(known.builtinCode, known.deprecatedBuiltinCode) == code:
            return index
    new = schema.OperatorCodeT()
    new.builtinCode = new.deprecatedBuiltinCode = code
    new.version = 2  # of DEQUANTIZE, and of QUANTIZE: with uint8
    model.operatorCodes.append(new)
    return len(model.operatorCodes) - 1


def _drop_unused_codes(model: Any) -> None:
    """Drop the codes that no operator has; an app with chosen kernels would need those, too."""
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    used = sorted({operator.opcodeIndex for operator in operators})
    model.operatorCodes = [model.operatorCodes[index] for index in used]
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)


def constant(model: Any, tensor: int, dtype: Any) -> NDArray[Any]:
    """The values of a constant tensor, flat."""
    data = model.buffers[model.subgraphs[0].tensors[tensor].buffer].data
    return np.frombuffer(bytes(data), dtype)
