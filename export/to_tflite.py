"""TFLite, for LiteRT, the TensorFlow Lite runtime and MediaPipe."""

import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.formats import Runner
from export.metadata import Metadata
from export.quiet import quiet
from export.tflite_metadata import LABELS, build, embed
from train.contract import Contract
from train.data import Pixels

if TYPE_CHECKING:
    from torch import nn

WEIGHTED_OPS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
SIGNATURE = "serving_default"


def convert(
    network: "nn.Module",
    contract: Contract,
    calibration: Pixels | None,
    paths: dict[str, Path],
    metadata: Metadata,
) -> None:
    """Write `.tflite` files; see `Toolchain.convert`."""
    with quiet():
        model = _float_model(network, contract)
        for precision, path in paths.items():
            if precision == "fp32":
                path.write_bytes(model)
            elif precision == "fp16":
                _quantize(model, None, path)
            else:
                assert calibration is not None
                _quantize(model, calibration, path)
            _attach(path, contract, metadata)


def _float_model(network: "nn.Module", contract: Contract) -> bytes:
    import litert_torch
    import torch

    from export.attention import NHWC
    from export.mobile_form import MobileForm

    image = torch.zeros(1, contract.side, contract.side, 3, dtype=torch.uint8)
    model = litert_torch.convert(MobileForm(network, contract, NHWC), (image,))
    return bytes(model.model_content())


def _quantize(model: bytes, calibration: Pixels | None, path: Path) -> None:
    """Write the float model quantized: w8a8 with calibration images, else fp16."""
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.quantizer import Quantizer
    from ai_edge_quantizer.recipe_manager import RecipeManager

    recipe = RecipeManager()
    for name in WEIGHTED_OPS:
        operation = TFLOperationName(name)
        if calibration is None:
            recipe.add_weight_only_config(".*", operation, 16, algorithm_key="float_casting")
        else:
            # Only these: quantized residual adds and norms lose the answer, and the stock recipe
            # for all ops breaks the one XNNPACK partition into 42.
            recipe.add_static_config(".*", operation, 8, 8)
    ranges = None if calibration is None else _ranges(model, recipe, calibration)
    quantizer = Quantizer(model, recipe.get_quantization_recipe())
    quantizer.quantize(ranges, enable_progress_report=False).export_model(str(path), overwrite=True)


def _ranges(model: bytes, recipe: Any, calibration: Pixels) -> Any:
    """Each tensor's smallest and largest value over the calibration images.

    The quantizer's default is a moving average, which clips outliers and hangs on the order of the
    images: measured on the demo's network it kept 0.976 of the answers where this keeps 1.000.
    """
    from ai_edge_quantizer.calibrator import Calibrator
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    name = _input_name(model)
    threads = os.cpu_count() or 1
    calibrator = Calibrator(model, num_threads=threads, qsv_update_func=min_max_update)
    calibrator.calibrate({SIGNATURE: [{name: image[None]} for image in calibration]}, recipe)
    return calibrator.get_model_qsvs()


def _input_name(model: bytes) -> str:
    from ai_edge_litert.interpreter import Interpreter

    signature = Interpreter(model_content=model).get_signature_list()[SIGNATURE]
    return str(signature["inputs"][0])


def _attach(path: Path, contract: Contract, metadata: Metadata) -> None:
    """Embed TFLite Metadata; append contract and labels as its associated files, which are a ZIP.

    A fixed date, so that the same model gives the same bytes.
    """
    path.write_bytes(embed(path.read_bytes(), build(contract, metadata)))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo("contract.json"), contract.to_json())
        archive.writestr(zipfile.ZipInfo(LABELS), "\n".join(contract.labels) + "\n")


def read_contract(path: Path) -> str:
    """The contract's JSON text out of the associated files."""
    with zipfile.ZipFile(path) as archive:
        return archive.read("contract.json").decode()


def load(path: Path, threads: int) -> Runner:
    """Open with LiteRT and its XNNPACK delegate."""
    with quiet():
        from importlib.metadata import version

        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    result = interpreter.get_output_details()[0]["index"]

    def classify(image: Pixels) -> Any:
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        return interpreter.get_tensor(result)[0]

    return Runner(classify, f"ai-edge-litert {version('ai-edge-litert')}")
