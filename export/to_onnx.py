"""ONNX, for ONNX Runtime on phones, desktops and in browsers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.formats import Runner
from export.metadata import Metadata
from export.plan import Plan
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
    plan: Plan | None,
    paths: dict[str, Path],
    metadata: Metadata,
) -> None:
    """Write `.onnx` files; see `Toolchain.convert`."""
    import onnx

    from export.attention import UNSIGNED
    from export.mobile_form import MobileForm
    from export.quantized_form import planned

    with quiet():
        model = _export(MobileForm(network, contract), contract)
        for precision, path in paths.items():
            if precision == "fp16":
                written = _to_fp16(model)
            elif precision == "w8a8":
                assert plan is not None
                written = _export(planned(network, contract, plan, UNSIGNED), contract)
            else:
                written = model
            _describe(written, contract, metadata)
            onnx.save(written, path)


def _export(form: "nn.Module", contract: Contract) -> Any:
    import torch

    image = torch.zeros(1, contract.side, contract.side, 3, dtype=torch.uint8)
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
    from copy import deepcopy

    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(deepcopy(model), keep_io_types=True)


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
