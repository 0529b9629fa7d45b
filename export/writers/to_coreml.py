"""Core ML's ML Programs, for iOS 16 and macOS 13 or later."""

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionlite.contract import Contract
from lesionlite.export.format import Runner, import_coremltools
from lesionlite.export.formats import FORMATS
from lesionlite.export.metadata import INPUT, LABEL, PROBABILITIES, Metadata
from lesionlite.export.precision import PRECISIONS
from lesionlite.export.quantize.quant_params import FEW_WEIGHTS
from lesionlite.export.quiet import quiet
from lesionlite.export.source import Source
from lesionlite.export.writers.mlpackage import make_reproducible, model_file
from lesionlite.train.data.images import Pixels

if TYPE_CHECKING:
    from torch import Tensor, nn

KEY = "lesionlite.contract"


def convert(source: Source, paths: dict[str, Path]) -> None:
    """Write `.mlpackage` folders, which classify an image; see `Toolchain.convert`."""
    with quiet(), _unchecked_passes():
        ct = import_coremltools()

        from lesionlite.export.forms.attention import NCHW

        contract, traced = source.contract, None
        for precision, path in paths.items():
            if precision == "w8a8":
                program = _export(source.form(NCHW, precision), contract)
            elif PRECISIONS[precision].learned:
                rounded = source.calibrated.round(PRECISIONS[precision].weight_bits)
                program = _trace(rounded, contract)
            elif source.is_float(precision):
                program = traced = traced or _trace(source.form(NCHW), contract)
            else:
                program = _trace(source.form(NCHW, precision), contract)
            model = _mlprogram(ct, program, contract, precision)
            model = _compress(ct, model, precision)
            _describe(model, contract, source.metadata)
            model.save(str(path))
            make_reproducible(path)


@contextmanager
def _unchecked_passes() -> Iterator[None]:
    """Keep coremltools from checking the whole program after each of its passes.

    That is for developers of passes and takes a third of a conversion (coremltools 9.0,
    `PassPipelineManager.apply_pipeline`). This function can go when it can be turned off there.
    """
    program = import_coremltools(".converters.mil.mil.program").Program
    validate, program.validate = program.validate, lambda *given, **settings: None
    try:
        yield
    finally:
        program.validate = validate


def _mlprogram(ct: Any, source: Any, contract: Contract, precision: str) -> Any:
    shape = (1, 3, contract.side, contract.side)
    return ct.convert(
        source,
        inputs=[ct.ImageType("image", shape, color_layout=ct.colorlayout.RGB)],
        classifier_config=ct.ClassifierConfig(list(contract.labels)),
        compute_precision=ct.precision.FLOAT32 if precision == "fp32" else ct.precision.FLOAT16,
        # iOS 17 was the first with 8-bit activations.
        minimum_deployment_target=ct.target.iOS17 if precision == "w8a8" else ct.target.iOS16,
    )


def _from_image(form: Any) -> "nn.Module":
    from torch import nn

    class FromImage(nn.Module):
        """The form on Core ML's image type: float [1, 3, S, S], 0..255, not uint8 [1, S, S, 3]."""

        def __init__(self) -> None:
            super().__init__()
            self.form = form

        def forward(self, image: "Tensor") -> "Tensor":
            return form.logits(image).softmax(-1)  # type: ignore[no-any-return]

    return FromImage().eval()


def _trace(form: "nn.Module", contract: Contract) -> Any:
    import torch

    with torch.no_grad():
        return torch.jit.trace(_from_image(form), torch.zeros(1, 3, contract.side, contract.side))


def _export(form: "nn.Module", contract: Contract) -> Any:
    """Export the quantized form with torch.export.

    coremltools converts the quantize and dequantize operations of an exported program, but not
    those of a traced one.
    """
    import torch

    with torch.no_grad():
        example = (torch.zeros(1, 3, contract.side, contract.side),)
        return torch.export.export(_from_image(form), example).run_decompositions({})


def _compress(ct: Any, model: Any, precision: str) -> Any:
    """Store the weights as 8-bit integers (w8), or as indices into palettes (w6, w4).

    Each tensor has a palette of its own: one for each group of output channels would need iOS 18.
    """
    tools = ct.optimize.coreml
    if precision == "w8":
        recipe = tools.OpLinearQuantizerConfig(
            mode="linear_symmetric", weight_threshold=FEW_WEIGHTS
        )
        config = tools.OptimizationConfig(global_config=recipe)
        return tools.linear_quantize_weights(model, config)
    if PRECISIONS[precision].learned:
        recipe = tools.OpPalettizerConfig(
            mode="custom", lut_function=_indices, weight_threshold=FEW_WEIGHTS
        )
        return tools.palettize_weights(model, tools.OptimizationConfig(global_config=recipe))
    return model


def _indices(weight: Any) -> tuple[Any, Any]:
    """The palette of a weight, and the index of each value in it, uint8 [weight.size].

    Learned weights are on a palette of 16, 64 or 256 values already, and stay exactly as they are.
    Others are none of a layer, such as embeddings of positions: they go to the nearest of 256.
    """
    from lesionlite.export.quantize.weights.palettes import nearest_of_256

    # Not in fp16: NumPy 2.4.6 sorts large fp16 arrays wrongly on processors with AVX512-FP16, so
    # its `unique` repeats values, and so does coremltools' mode "unique". Can go when mended.
    exact = weight.astype(np.float32).flatten()
    values = np.unique(exact)
    if len(values) > 256:
        exact = nearest_of_256(exact)
        values = np.unique(exact)
    size = next(size for size in (16, 64, 256) if len(values) <= size)
    palette = np.pad(values, (0, size - len(values)), mode="edge").astype(weight.dtype)
    return palette, np.searchsorted(values, exact).astype(np.uint8)


def _describe(model: Any, contract: Contract, metadata: Metadata) -> None:
    model.short_description, model.version = metadata.description, metadata.version
    model.author, model.license = metadata.author, metadata.license
    model.input_description["image"] = INPUT
    model.output_description["classLabel"] = LABEL
    model.output_description["classLabel_probs"] = PROBABILITIES
    model.user_defined_metadata[KEY] = contract.to_json()


def read_contract(path: Path) -> tuple[str, Sequence[str]]:
    """The contract's JSON text from the user-defined metadata, and the classifier's labels."""
    with quiet():
        spec = import_coremltools(".proto.Model_pb2").Model()
        spec.ParseFromString(model_file(path).read_bytes())  # `load_spec` would change the package
    main = spec.mlProgram.functions["main"]
    operations = main.block_specializations[main.opset].operations
    (classify,) = (op for op in operations if op.type == "classify")
    classes = classify.inputs["classes"].arguments[0].value.immediateValue.list.values
    labels = [value.immediateValue.tensor.strings.values[0] for value in classes]
    return dict(spec.description.metadata.userDefined)[KEY], labels


def load(path: Path, threads: int) -> Runner:
    """Open with Core ML on macOS, and with lesionlite's reference executor on other systems."""
    if not FORMATS["coreml"].is_native_here:
        from lesionlite.export.mil.execute import open_runner

        return open_runner(path, threads)
    with quiet():
        ct = import_coremltools()
        from PIL import Image

        model = ct.models.MLModel(str(path))
    labels = Contract.from_json(read_contract(path)[0], str(path)).labels

    def classify(image: Pixels) -> Any:
        answer = model.predict({"image": Image.fromarray(image)})
        probabilities = answer["classLabel_probs"]
        return np.array([probabilities[label] for label in labels], np.float32)

    return Runner(classify, f"Core ML on {platform.platform()}")
