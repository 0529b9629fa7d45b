"""ONNX, for ONNX Runtime on phones, desktops and in browsers."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.formats import Runner
from export.metadata import Metadata
from export.quiet import quiet
from export.toolchains import versions
from train.contract import Contract
from train.data import Pixels

if TYPE_CHECKING:
    from torch import nn

KEY = "lesionlite.contract"
OPSET = 18


def convert(
    network: "nn.Module",
    contract: Contract,
    calibration: Pixels | None,
    paths: dict[str, Path],
    metadata: Metadata,
) -> None:
    """Write `.onnx` files; see `Toolchain.convert`."""
    import onnx

    with quiet():
        model = _float_model(network, contract)
        for precision, path in paths.items():
            if precision == "fp16":
                written = _to_fp16(model)
            elif precision == "w8a8":
                assert calibration is not None
                written = _to_w8a8(model, calibration)
            else:
                written = model
            _describe(written, contract, metadata)
            onnx.save(written, path)


def _float_model(network: "nn.Module", contract: Contract) -> Any:
    import torch

    from export.mobile_form import MobileForm

    image = torch.zeros(1, contract.side, contract.side, 3, dtype=torch.uint8)
    program = torch.onnx.export(
        MobileForm(network, contract),
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
    from copy import deepcopy

    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(deepcopy(model), keep_io_types=True)


def _to_w8a8(model: Any, calibration: Pixels) -> Any:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.images = iter(calibration)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self.images, None)
            return None if image is None else {"image": image[None]}

    with tempfile.TemporaryDirectory() as folder:
        given, prepared, quantized = (f"{folder}/{name}.onnx" for name in ("a", "b", "c"))
        onnx.save(model, given)
        quant_pre_process(given, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantized,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            # Without VNNI, x86 adds pairs of 8-bit products in 16 bits, which can saturate.
            reduce_range=True,
            # The residual adds and the norms between them lose the answer when quantized.
            op_types_to_quantize=["Conv", "Gemm"],
            nodes_to_exclude=_kept_in_float(onnx.load(prepared)),
        )
        return onnx.load(quantized)


def _kept_in_float(model: Any) -> list[str]:
    """Names of the depthwise and query convolutions: a small share of the arithmetic.

    Measured on the demo's network on AVX2: with them in 8 bits 0.976 of the answers stay at 9.4 ms
    an image; depthwise ones in float 0.986 at 5.3 ms (their 8-bit kernel is slow as well).
    """
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    return [node.name for node in convolutions if 1 in shapes[node.input[1]][:2]]


def _describe(model: Any, contract: Contract, metadata: Metadata) -> None:
    """Say what the model is, and drop the exporter's stack traces: they name the machine."""
    import onnx

    # model_author and model_license are ONNX's own names; the others follow them.
    named = {f"model_{name}": value for name, value in metadata.given().items()}
    onnx.helper.set_model_props(model, {KEY: contract.to_json(), **named})
    model.doc_string = metadata.description
    model.producer_name, model.producer_version = "lesionlite", versions()["lesionlite"]
    for item in (model.graph, *model.graph.node, *model.graph.value_info, *model.functions):
        del item.metadata_props[:]


def read_contract(path: Path) -> str:
    """The contract's JSON text out of the model's metadata properties."""
    import onnx

    model = onnx.load(path)
    return str(next(entry.value for entry in model.metadata_props if entry.key == KEY))


def load(path: Path, threads: int) -> Runner:
    """Open with ONNX Runtime's CPU provider."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def classify(image: Pixels) -> Any:
        return session.run(None, {"image": np.ascontiguousarray(image[None])})[0][0]

    return Runner(classify, f"onnxruntime {onnxruntime.__version__}")
