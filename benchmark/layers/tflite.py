"""The operations of a TFLite file, each executed alone.

LiteRT gives XNNPACK the whole graph at once and tells no times inside of it. So each operation is
written to a file of its own, with the tensors it reads as inputs, and timed there. What XNNPACK
computes within another operation stays with that one: zeros around the input of a convolution, and
whatever depends on constants alone.
"""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lesionlite.benchmark.layers.cost import Cost, time_of
from lesionlite.benchmark.peers.foreign import noise
from lesionlite.benchmark.targets.tflite_layers import operators
from lesionlite.console import track
from lesionlite.export.quiet import quiet
from lesionlite.export.writers.tflite_file import operator_names, pack, parse

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")


def costs(path: Path, threads: int) -> list[Cost]:
    """Time each operation of a file.

    Args:
        path: a TFLite file.
        threads: that LiteRT may use.
    """
    model = parse(path.read_bytes())
    written = model.subgraphs[0].operators
    named = {id(one): name for one, name in zip(written, operators(model), strict=True)}
    units, found = _units(model), []
    with quiet():
        for unit in track(units, "timing operations", len(units)):
            name, layer = named[id(unit[-1])]
            milliseconds = time_of(_query(_file_of(model, unit), threads))
            found.append(Cost(name, layer, milliseconds, multiply_adds(model, unit[-1], name)))
    return found


def _units(model: Any) -> list[list[Any]]:
    """The operations that are executed alone, each behind those that XNNPACK makes a part of it."""
    graph, names = model.subgraphs[0], operator_names(model)
    readers: dict[int, list[Any]] = {}
    for operator in graph.operators:
        for tensor in operator.inputs:
            readers.setdefault(tensor, []).append(operator)
    parts: dict[int, list[Any]] = {}  # by the tensor that a part of another operation makes
    constants: set[int] = {-1}
    units = []
    for operator in graph.operators:
        before = [part for tensor in operator.inputs for part in parts.get(tensor, [])]
        unit = [*before, operator]
        after = [names[reader.opcodeIndex] for reader in readers.get(operator.outputs[0], [])]
        pads = names[operator.opcodeIndex] == "PAD" and len(after) == 1 and after[0] in CONVOLUTIONS
        constant = all(i in constants or _has_values(model, i) for i in operator.inputs)
        if constant:
            constants.update(operator.outputs)
        if constant or pads:
            parts[operator.outputs[0]] = unit
        else:
            units.append(unit)
    return units


def _has_values(model: Any, tensor: int) -> bool:
    data = model.buffers[model.subgraphs[0].tensors[tensor].buffer].data
    return data is not None and len(data) > 0


def _file_of(model: Any, operators: Sequence[Any]) -> bytes:
    """The content of a file with some operators of a tree; what they read from others is input."""
    from ai_edge_litert import schema_py_generated as schema

    whole, graph, buffers = model.subgraphs[0], schema.SubGraphT(), [schema.BufferT()]
    graph.name, graph.tensors, places = b"main", [], dict[int, int]()

    def place(index: int) -> int:
        if index < 0 or index in places:
            return places.get(index, -1)
        tensor = copy.copy(whole.tensors[index])
        if _has_values(model, index):
            buffers.append(model.buffers[tensor.buffer])
            tensor.buffer = len(buffers) - 1
        else:
            tensor.buffer = 0
        graph.tensors.append(tensor)
        places[index] = len(graph.tensors) - 1
        return places[index]

    graph.operators = [copy.copy(operator) for operator in operators]
    for operator in graph.operators:
        given, made = operator.inputs, operator.outputs
        operator.inputs, operator.outputs = [[place(i) for i in ends] for ends in (given, made)]
    written = {i for operator in graph.operators for i in operator.outputs}
    read = dict.fromkeys(i for operator in graph.operators for i in operator.inputs if i >= 0)
    graph.inputs = [i for i in read if i not in written and not graph.tensors[i].buffer]
    graph.outputs = list(graph.operators[-1].outputs)
    alone = schema.ModelT()
    alone.version, alone.operatorCodes = model.version, model.operatorCodes
    alone.subgraphs, alone.buffers = [graph], buffers
    return pack(alone)


def _query(content: bytes, threads: int) -> Callable[[], object]:
    """A function that executes the content of a file once, on random numbers."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    for given in interpreter.get_input_details():
        interpreter.set_tensor(given["index"], noise(tuple(given["shape"]), given["dtype"]))
    return lambda: interpreter.invoke()


def multiply_adds(model: Any, operator: Any, name: str) -> int:
    """Multiply-adds of an operator of a tree; 0 for one that is no product.

    Args:
        model: a tree of `tflite_file.parse`.
        operator: of its graph.
        name: of the operator, such as CONV_2D.
    """
    tensors = model.subgraphs[0].tensors
    read = [tensors[i].shape for i in operator.inputs[:2] if i >= 0]
    results = int(np.prod(tensors[operator.outputs[0]].shape))
    if name == "CONV_2D":
        return results * int(np.prod(read[1][1:]))
    if name == "DEPTHWISE_CONV_2D":
        return results * int(np.prod(read[1][1:3]))
    if name == "FULLY_CONNECTED":
        return results * int(read[1][-1])
    if name == "BATCH_MATMUL":  # [.., M, K] by [.., K, N], where either may be transposed
        options = operator.builtinOptions
        return results * int(read[0][-2 if options is not None and options.adjX else -1])
    return 0
