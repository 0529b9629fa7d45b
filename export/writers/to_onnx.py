"""ONNX, for ONNX Runtime on phones, desktops and in browsers."""

from ast import literal_eval
from copy import deepcopy
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionlite.contract import Contract
from lesionlite.export.format import Runner
from lesionlite.export.metadata import Metadata
from lesionlite.export.precision import PRECISIONS
from lesionlite.export.quantize.quant_params import FEW_WEIGHTS, to_int8
from lesionlite.export.quiet import quiet
from lesionlite.export.source import Source, example
from lesionlite.export.toolchains import versions
from lesionlite.export.writers.names import numbered
from lesionlite.export.writers.onnx_gelu import join_gelus, spell_gelus
from lesionlite.export.writers.onnx_layers import (
    float_multipliers,
    float_stem,
    keep_floats,
    pool_means,
)
from lesionlite.export.writers.onnx_pixels import dequantize_pixels, subtract_in_rows
from lesionlite.train.data.images import Pixels

if TYPE_CHECKING:
    from torch import Tensor, nn

KEY = "lesionlite.contract"
OPSET = 18
INPUT_AND_OUTPUT = "network"  # the layer of operations outside every layer


def convert(source: Source, paths: dict[str, Path]) -> None:
    """Write `.onnx` files; see `Toolchain.convert`."""
    import onnx

    from lesionlite.export.forms.attention import ORT

    image, plain = example(source.contract), None
    with quiet():
        for precision, path in paths.items():
            if source.is_float(precision):
                plain = plain or _export(source.form(ORT), image)
                model = deepcopy(plain)
            else:
                model = _export(source.form(ORT, precision), image)
            dequantize_pixels(model)
            subtract_in_rows(model)
            spell_gelus(model)
            pool_means(model)
            if PRECISIONS[precision].calibrated:
                join_gelus(model)
                float_stem(model)
                float_multipliers(model)
                keep_floats(model)
            if precision == "fp16":
                model = _to_fp16(model)
            if precision == "w8":
                _store_weights_in_8_bits(model)
            _describe(model, source.contract, source.metadata)
            onnx.save(model, path)


def _export(form: "nn.Module", image: "Tensor") -> Any:
    import torch

    program = torch.onnx.export(
        form,
        (image,),
        input_names=["image"],
        output_names=["probabilities"],
        dynamo=True,
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None
    return program.model_proto


def _to_fp16(model: Any) -> Any:
    """Weights below 6e-8 become zero, which the converter reports one by one."""
    from onnxruntime.transformers import float16

    # Before opset 19, DequantizeLinear gives float32 only.
    kept = [*float16.DEFAULT_OP_BLOCK_LIST, "DequantizeLinear"]
    return float16.convert_float_to_float16(model, keep_io_types=True, op_block_list=kept)


def _store_weights_in_8_bits(model: Any) -> None:
    """Store weights as int8; Cast and Mul (by the scales) turn them back into float.

    ONNX Runtime computes these nodes once, when it opens the file, so the network runs as fast as
    with float weights. It would execute a DequantizeLinear again for every image.
    """
    axes = {"Conv": 0, "Gemm": 0, "MatMul": 1}  # of the output channels; Gemm's weight is [O, I]
    read = {n.input[1]: axes[n.op_type] for n in model.graph.node if n.op_type in axes}
    nodes = []
    for stored in list(model.graph.initializer):
        if stored.name in read and prod(stored.dims) > FEW_WEIGHTS:
            model.graph.initializer.remove(stored)
            arrays, made = _in_8_bits(stored, read[stored.name])
            model.graph.initializer.extend(arrays)
            nodes += made
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _in_8_bits(stored: Any, axis: int) -> tuple[list[Any], list[Any]]:
    """A weight as int8 with scales along an axis, and the nodes that turn it back."""
    import torch
    from onnx import TensorProto, helper, numpy_helper

    name, weight = stored.name, torch.from_numpy(numpy_helper.to_array(stored).copy())
    whole, scales = to_int8(weight, axis)
    return [
        numpy_helper.from_array(whole.numpy(), f"{name}.int8"),
        numpy_helper.from_array(scales.numpy(), f"{name}.scales"),
    ], [
        helper.make_node("Cast", [f"{name}.int8"], [f"{name}.cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}.cast", f"{name}.scales"], [name]),
    ]


def _describe(model: Any, contract: Contract, metadata: Metadata) -> None:
    """Say what the model is, and drop the exporter's stack traces: they name the machine."""
    import onnx

    # model_author and model_license are ONNX's own names; the others follow them.
    named = {f"model_{name}": value for name, value in metadata.given().items()}
    onnx.helper.set_model_props(model, {KEY: contract.to_json(), **named})
    model.doc_string = metadata.description
    model.producer_name, model.producer_version = "lesionlite", versions()["lesionlite"]
    _name_nodes(model)
    for item in (model.graph, *model.graph.node, *model.graph.value_info, *model.functions):
        del item.metadata_props[:]


def _name_nodes(model: Any) -> None:
    """Name each node by its layer and operation, like stem.conv/Conv, for tools that report nodes.

    The exporter notes the layers: a list of modules, from the network to the node's own, and then
    the operation.
    """

    def name(node: Any) -> str:
        notes = {note.key: note.value for note in node.metadata_props}
        layers = literal_eval(notes.get("pkg.torch.onnx.name_scopes", "[]"))[:-1] or [""]
        return f"{layers[-1] or INPUT_AND_OUTPUT}/{node.op_type}"

    for node, unique in zip(model.graph.node, numbered(map(name, model.graph.node)), strict=True):
        node.name = unique


def read_contract(path: Path) -> tuple[str, None]:
    """The contract's JSON text out of the model's metadata properties."""
    import onnx

    model = onnx.load(path)
    return next(entry.value for entry in model.metadata_props if entry.key == KEY), None


def load(path: Path, threads: int) -> Runner:
    """Open with ONNX Runtime's CPU provider."""
    return runner(*open_session(path, threads))


def runner(session: Any, runtime: str) -> Runner:
    """A Runner for a session with one input and one output."""
    name = session.get_inputs()[0].name

    def classify(image: Pixels) -> Any:
        return session.run(None, {name: np.ascontiguousarray(image[None])})[0][0]

    return Runner(classify, runtime)


def open_session(
    model: Path | bytes, threads: int, fuse: bool = True, profile: str = ""
) -> tuple[Any, str]:
    """A session of ONNX Runtime's CPU provider for any model, and the runtime's version.

    Without `fuse` every node is executed as the file has it. With `profile`, the beginning of a
    file's name, the time of each node is written there.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what fails is raised, too
    if not fuse:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    given = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    return session, f"onnxruntime {onnxruntime.__version__}"
