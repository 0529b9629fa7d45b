"""Each toolchain's default 8-bit quantization of timm's own model; see `defaults.py`."""

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from lesionlite.benchmark.peers.defaults import DefaultSource, convert_coreml, lower_to_xnnpack
from lesionlite.benchmark.peers.defaults import to_onnx as to_float_onnx
from lesionlite.errors import LesionliteError
from lesionlite.export.format import import_coremltools


def to_onnx(source: DefaultSource, path: Path) -> None:
    """ONNX Runtime: `quant_pre_process`, then `quantize_static` with its defaults."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    batches = source.batches()

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self.rows = iter([{name: batch.numpy()} for batch in batches])

        def get_next(self) -> Any:
            return next(self.rows, None)

    with tempfile.TemporaryDirectory() as folder:
        given, prepared = f"{folder}/given.onnx", f"{folder}/prepared.onnx"
        to_float_onnx(source, Path(given))
        quant_pre_process(given, prepared)
        quantize_static(prepared, str(path), Reader(_input_name(prepared)))


def _input_name(model: str) -> str:
    import onnx

    return str(onnx.load(model).graph.input[0].name)


def to_tflite(source: DefaultSource, path: Path) -> None:
    """ai-edge-quantizer's `static_wi8_ai8` and its default calibration."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    images = source.pixels()
    if source.ours is None:
        raise LesionliteError(
            "litert-torch refuses timm's graph, and there is no fp32 file of ours"
        )
    signatures = Interpreter(str(source.ours)).get_signature_list()
    (key,) = signatures
    (name,) = signatures[key]["inputs"]
    work = quantizer.Quantizer(str(source.ours), recipe.static_wi8_ai8())
    ranges = work.calibrate({key: [{name: image[None]} for image in images]})
    work.quantize(ranges).export_model(str(path), overwrite=True)


def to_torchscript(source: DefaultSource, path: Path) -> None:
    """FX graph mode with the default qconfig mapping for x86. It cannot trace timm's blocks."""
    _through_fx(source, path, ())


def to_torchscript_outside_blocks(source: DefaultSource, path: Path) -> None:
    """FX graph mode with those blocks left out and in float, as the FX guide advises."""
    modules = source.network.modules()
    blocks = {type(module) for module in modules if hasattr(module, "transformer")}
    _through_fx(source, path, tuple(blocks))


def _through_fx(source: DefaultSource, path: Path, untraceable: tuple[type, ...]) -> None:
    import torch
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.fx.custom_config import PrepareCustomConfig
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    batches, example = source.batches(), source.example()
    torch.backends.quantized.engine = "x86"
    mapping = get_default_qconfig_mapping("x86")
    custom = PrepareCustomConfig().set_non_traceable_module_classes(list(untraceable))
    with torch.no_grad():
        prepared = prepare_fx(source.network, mapping, (example,), prepare_custom_config=custom)
        for batch in batches:
            prepared(batch)
        script = torch.jit.freeze(torch.jit.trace(convert_fx(prepared), example))
    script.save(str(path))


def to_executorch(source: DefaultSource, path: Path) -> None:
    """PT2E with XNNPACKQuantizer's symmetric per-channel configuration, as on its page."""
    import torch

    batches, example = source.batches(), source.example()
    xnnpack: Any = import_module("executorch.backends.xnnpack.quantizer.xnnpack_quantizer")
    pt2e: Any = import_module("torchao.quantization.pt2e.quantize_pt2e")
    plan = xnnpack.XNNPACKQuantizer()
    plan.set_global(xnnpack.get_symmetric_quantization_config(is_per_channel=True))
    exported = torch.export.export(source.network, (example,)).module()
    prepared = pt2e.prepare_pt2e(exported, plan)
    with torch.no_grad():
        for batch in batches:
            prepared(batch)
        lower_to_xnnpack(pt2e.convert_pt2e(prepared), example, path)


def to_coreml(source: DefaultSource, path: Path) -> None:
    """Coremltools' default quantization of weights to 8 bits, after its default conversion."""
    ct = import_coremltools()

    settings = ct.optimize.coreml.OptimizationConfig(
        global_config=ct.optimize.coreml.OpLinearQuantizerConfig()
    )
    model = convert_coreml(source)
    ct.optimize.coreml.linear_quantize_weights(model, settings).save(str(path))
