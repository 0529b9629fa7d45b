"""Core ML's ML Programs, for iOS 16 and macOS 13 or later."""

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionlite.contract import Contract
from lesionlite.export.format import Runner
from lesionlite.export.formats import FORMATS
from lesionlite.export.metadata import INPUT, LABEL, PROBABILITIES, Metadata
from lesionlite.export.mlpackage import make_reproducible, model_file
from lesionlite.export.quantize.quant_params import FEW_WEIGHTS
from lesionlite.export.quiet import quiet
from lesionlite.export.source import Source
from lesionlite.train.data.images import Pixels

if TYPE_CHECKING:
    from torch import Tensor, nn

KEY = "lesionlite.contract"


def convert(source: Source, paths: dict[str, Path]) -> None:
    """Write `.mlpackage` folders, which classify an image; see `Toolchain.convert`."""
    with quiet():
        import coremltools as ct

        from lesionlite.export.forms.attention import NCHW

        contract, traced = source.contract, None
        for precision, path in paths.items():
            if precision == "w8a8":
                program = _export(source.form(NCHW, precision), contract)
            else:
                program = traced = traced or _trace(source.form(NCHW), contract)
            model = _mlprogram(program, contract, precision)
            model = _compress(ct, model, precision)
            _describe(model, contract, source.metadata)
            model.save(str(path))
            make_reproducible(path)


def _mlprogram(source: Any, contract: Contract, precision: str) -> Any:
    import coremltools as ct

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
    """Compress the weights to 8-bit integers (w8), or to indices into a palette (w6, w4).

    Each tensor has a palette of its own, of 64 or 16 values.
    """
    from threadpoolctl import threadpool_limits

    tools = ct.optimize.coreml
    if precision == "w8":
        recipe = tools.OpLinearQuantizerConfig(
            mode="linear_symmetric", weight_threshold=FEW_WEIGHTS
        )
        config = tools.OptimizationConfig(global_config=recipe)
        return tools.linear_quantize_weights(model, config)
    if precision in ("w6", "w4"):
        # The rounding of k-means depends on the number of threads; one gives the same bytes.
        with threadpool_limits(1):
            return tools.palettize_weights(model, _palettes(tools, model, int(precision[1])))
    return model


def _palettes(tools: Any, model: Any, bits: int) -> Any:
    """The palettes: `bits` bits, but 8 bits for tensors with less than 1/256 of the weights.

    The small tensors are the early layers. In 4 bits, these would cause most of the error and save
    few bytes.
    """

    def palette(bits: int) -> Any:
        return tools.OpPalettizerConfig(mode="kmeans", nbits=bits, weight_threshold=FEW_WEIGHTS)

    stored = tools.get_weights_metadata(model, weight_threshold=FEW_WEIGHTS)
    small = sum(weight.val.size for weight in stored.values()) / 256
    config = tools.OptimizationConfig(global_config=palette(bits))
    for name, weight in stored.items():
        if weight.val.size < small:
            config.set_op_name(name, palette(8))
    return config


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
        from coremltools.proto import Model_pb2

        spec = Model_pb2.Model()
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
        import coremltools as ct
        from PIL import Image

        model = ct.models.MLModel(str(path))
    labels = Contract.from_json(read_contract(path)[0], str(path)).labels

    def classify(image: Pixels) -> Any:
        answer = model.predict({"image": Image.fromarray(image)})
        probabilities = answer["classLabel_probs"]
        return np.array([probabilities[label] for label in labels], np.float32)

    return Runner(classify, f"Core ML on {platform.platform()}")
