"""TFLite, for LiteRT, the TensorFlow Lite runtime and MediaPipe."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.formats import Runner
from export.metadata import Metadata
from export.plan import Plan
from export.quiet import quiet
from export.tflite_metadata import LABELS, build, embed
from train.contract import Contract
from train.data import Pixels

if TYPE_CHECKING:
    from torch import nn


def convert(
    network: "nn.Module",
    contract: Contract,
    plan: Plan | None,
    paths: dict[str, Path],
    metadata: Metadata,
) -> None:
    """Write `.tflite` files; see `Toolchain.convert`."""
    import torch

    from export.attention import NHWC
    from export.mobile_form import MobileForm
    from export.tflite_plan import quantize
    from export.wiring import trace

    image = torch.zeros(1, contract.side, contract.side, 3, dtype=torch.uint8)
    form = MobileForm(network, contract, NHWC)
    with quiet():
        model = _float_model(form, image)
        for precision, path in paths.items():
            if precision == "fp32":
                path.write_bytes(model)
            elif precision == "fp16":
                path.write_bytes(_to_fp16(model))
            else:
                assert plan is not None
                path.write_bytes(quantize(model, form, plan, trace(form, image)))
            _attach(path, contract, metadata)


def _float_model(form: "nn.Module", image: Any) -> bytes:
    import litert_torch

    return bytes(litert_torch.convert(form, (image,)).model_content())


def _to_fp16(model: bytes) -> bytes:
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.quantizer import Quantizer
    from ai_edge_quantizer.recipe_manager import RecipeManager

    from export.tflite_plan import LAYERS

    recipe = RecipeManager()
    for name in LAYERS:
        operation = TFLOperationName(name)
        recipe.add_weight_only_config(".*", operation, 16, algorithm_key="float_casting")
    quantizer = Quantizer(model, recipe.get_quantization_recipe())
    return bytes(quantizer.quantize(None, enable_progress_report=False).quantized_model)


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
