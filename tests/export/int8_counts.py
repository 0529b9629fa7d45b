"""Multiply-adds in a w8a8 file whose weights and activations are integers, and all others.

What a runtime executes is counted where it tells: ONNX Runtime's optimized graph, and the graph
that XNNPACK gets of an ExecuTorch file. For the other formats it is what the file says.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

Counts = Counter[bool]
"""Multiply-adds by whether both factors are integers."""


def onnx(path: Path) -> Counts:
    """Of the graph that ONNX Runtime executes. Its nodes' outputs tell their shapes."""
    import onnx
    import onnxruntime as ort

    def session(model: Any, **settings: Any) -> Any:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        for name, value in settings.items():
            setattr(options, name, value)
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    optimized = path.parent / "optimized.onnx"
    session(str(path), optimized_model_filepath=str(optimized))
    model = onnx.load(optimized)
    constants = {one.name: tuple(one.dims) for one in model.graph.initializer}
    nodes = [node for node in model.graph.node if _ONNX.get(node.op_type)]
    known = {one.name for one in model.graph.output}
    wanted = {name for node in nodes for name in (node.input[0], node.output[0])} - known
    produced = {name for node in model.graph.node for name in node.output}
    for name in wanted & produced:
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    off = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    opened = session(model.SerializeToString(), graph_optimization_level=off)
    (image,) = opened.get_inputs()
    names = [one.name for one in opened.get_outputs()]
    found = opened.run(None, {image.name: np.zeros(image.shape, np.uint8)})
    shapes = constants | {name: value.shape for name, value in zip(names, found, strict=True)}
    counts: Counts = Counter()
    for node in nodes:
        integers, weight = _ONNX[node.op_type]
        each = (
            prod(constants[node.input[weight]][1:])
            if weight is not None
            else shapes[node.input[0]][-1]
        )
        counts[integers] += prod(shapes[node.output[0]]) * each
    return counts


_ONNX: dict[str, tuple[bool, int | None]] = {  # integers?, and which input is [O, ...] weights
    "QLinearConv": (True, 3),
    "QGemm": (True, None),
    "QLinearMatMul": (True, None),
    "MatMulIntegerToFloat": (False, None),  # of weights alone
    "DynamicQuantizeMatMul": (False, None),
    "Conv": (False, 1),
    "FusedConv": (False, 1),
    "Gemm": (False, None),
    "FusedGemm": (False, None),
    "MatMul": (False, None),
    "FusedMatMul": (False, None),
}


def tflite(path: Path) -> Counts:
    """Of the file's operators."""
    from ai_edge_litert.schema_py_generated import TensorType

    from lesionlite.export.writers.tflite_file import operator_names, parse

    model = parse(path.read_bytes())
    graph, names = model.subgraphs[0], operator_names(model)
    counts: Counts = Counter()
    for operator in graph.operators:
        name = names[operator.opcodeIndex]
        if name not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL"):
            continue
        given, weight = (graph.tensors[i] for i in operator.inputs[:2])
        result = graph.tensors[operator.outputs[0]]
        shape = list(weight.shape)  # [O, H, W, I], depthwise [1, H, W, O], matmul [..., K, N]
        each = {"DEPTHWISE_CONV_2D": prod(shape[:3]), "BATCH_MATMUL": shape[-2]}
        integers = given.type == weight.type == TensorType.INT8
        counts[integers] += int(prod(result.shape) * each.get(name, prod(shape[1:])))
    return counts


def torchscript(path: Path) -> Counts:
    """Of the file's graph, whose products become outputs to tell their shapes."""
    import torch

    from lesionlite.export.writers.to_torchscript import read_contract

    graph = torch.jit.freeze(torch.jit.load(str(path)).eval()).inlined_graph
    calls, shown = [], []
    for node in graph.nodes():
        kind = node.kind()
        if kind.startswith(("quantized::conv", "quantized::linear")):
            weight = node.inputsAt(1).toIValue().unpack()[0]
        elif kind in ("aten::conv2d", "aten::_convolution", "aten::linear"):
            weight = node.inputsAt(1).toIValue()
        elif kind == "aten::matmul":
            weight = None
        else:
            assert kind not in ("aten::bmm", "aten::einsum", "aten::addmm"), f"{kind} is uncounted"
            continue
        calls.append((kind.startswith("quantized"), weight))
        shown += [node.output(), node.inputsAt(0)]
    for value in shown:
        graph.registerOutput(value)
    graph.makeMultiOutputIntoTuple()
    graph.eraseInput(0)
    function = torch._C._create_function_from_graph("forward", graph)
    side = int(json.loads(read_contract(path)[0])["side"])
    _, *found = function(torch.zeros(1, side, side, 3, dtype=torch.uint8))
    counts: Counts = Counter()
    for (integers, weight), result, given in zip(calls, found[::2], found[1::2], strict=True):
        each = given.shape[-1] if weight is None else prod(weight.shape[1:])
        counts[integers] += result.numel() * each
    return counts


def coreml(path: Path) -> Counts:
    """Of the file's operations: quantized weights, and an input that was just dequantized."""
    from lesionlite.export.mil.count import _multiply_adds
    from lesionlite.export.mil.execute import read_function

    counts: Counts = Counter()
    for operation in read_function(path).operations:
        if products := _multiply_adds(operation):
            factors = [operation.inputs["x"]]
            factors.append(operation.inputs["y" if operation.op_type == "matmul" else "weight"])
            integers = all(_dequantized(factor) for factor in factors)
            counts[integers] += products
    return counts


def _dequantized(value: Any) -> bool:
    made_by = value.op and value.op.op_type
    return made_by in (
        "dequantize",
        "constexpr_affine_dequantize",
        "constexpr_blockwise_shift_scale",
    )


def executorch(path: Path) -> Counts:
    """Of the graphs that XNNPACK gets."""
    from executorch.exir._serialize._program import deserialize_pte_binary

    program = deserialize_pte_binary(path.read_bytes()).program
    counts: Counts = Counter()
    for delegate in program.execution_plan[0].delegates:
        data = program.backend_delegate_data[delegate.processed.index].data
        graph = _xnnpack_graph(data, path.parent)
        values = {}
        for value in graph["xvalues"]:
            union = value["xvalue_union"]
            values[union.get("tensor_value", union).get("id_out", 0)] = union
        for node in graph["xnodes"]:
            kind, call = node["xnode_union_type"], node["xnode_union"]
            if kind not in _XNNPACK:
                continue
            given, weight, result = (values[call.get(name, 0)] for name in _XNNPACK[kind])
            types = [_type(given), _type(weight)]
            shape = _dims(weight)
            each = shape[-2] if "Multiply" in kind else prod(shape[1:])
            if "Depthwise" in kind:
                each = shape[1] * shape[2]  # [1, H, W, O]
            counts[all("int8" in one for one in types)] += prod(_dims(result)) * each
    return counts


_CALL = ("input1_id", "filter_id", "output_id")
_XNNPACK = {
    "XNNConv2d": _CALL,
    "XNNDepthwiseConv2d": _CALL,
    "XNNFullyConnected": _CALL,
    "XNNBatchMatrixMultiply": ("input1_id", "input2_id", "output_id"),
}


def _tensor(value: Any) -> Any:
    return value.get("tensor_value", value)


def _type(value: Any) -> str:
    return str(_tensor(value).get("datatype", ""))


def _dims(value: Any) -> list[int]:
    return list(_tensor(value).get("dims", []))


def _xnnpack_graph(data: bytes, folder: Path) -> Any:
    """The flatbuffer at the place that the header tells (`XNNHeader`), as JSON by flatc."""
    from executorch.exir._serialize._flatbuffer import _run_flatc

    start, size = (int.from_bytes(data[at : at + 4], "little") for at in (10, 14))
    (folder / "graph.bin").write_bytes(data[start : start + size])
    package = files("executorch.backends.xnnpack.serialization")
    for name in ("schema.fbs", "runtime_schema.fbs"):
        source = package / name
        if source.is_file():
            (folder / name).write_bytes(source.read_bytes())
    schema = "runtime_schema.fbs"
    flags = ["--json", "--strict-json", "--raw-binary", "--defaults-json", "-o", str(folder)]
    _run_flatc([*flags, str(folder / schema), "--", str(folder / "graph.bin")])
    text = (folder / "graph.json").read_text()
    return json.loads(re.sub(r"\binf\b", "Infinity", text))  # limits of ReLU


COUNTED: dict[str, Callable[[Path], Counts]] = {
    "onnx": onnx,
    "tflite": tflite,
    "torchscript": torchscript,
    "coreml": coreml,
    "executorch": executorch,
}
