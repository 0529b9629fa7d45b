"""Core ML ML Programs, for iOS 16 and macOS 13 on."""

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.formats import NoRuntime, Runner
from export.metadata import INPUT, LABEL, PROBABILITIES, Metadata
from export.mlpackage import pin
from export.plan import Plan
from export.quiet import quiet
from train.contract import Contract
from train.data import Pixels

if TYPE_CHECKING:
    from torch import Tensor, nn

KEY = "lesionlite.contract"


def convert(
    network: "nn.Module",
    contract: Contract,
    plan: Plan | None,
    paths: dict[str, Path],
    metadata: Metadata,
) -> None:
    """Write `.mlpackage` folders; see `Toolchain.convert`. Each takes an image, gives a label."""
    with quiet():
        import coremltools as ct

        traced = _trace(network, contract)
        for precision, path in paths.items():
            depth = ct.precision.FLOAT32 if precision == "fp32" else ct.precision.FLOAT16
            shape = (1, 3, contract.side, contract.side)
            model = ct.convert(
                traced,
                inputs=[ct.ImageType("image", shape, color_layout=ct.colorlayout.RGB)],
                classifier_config=ct.ClassifierConfig(list(contract.labels)),
                compute_precision=depth,
                minimum_deployment_target=ct.target.iOS16,
            )
            if precision == "w8":
                model = _to_w8(ct, model)
            _describe(model, contract, metadata)
            model.save(str(path))
            pin(path)


def _trace(network: "nn.Module", contract: Contract) -> Any:
    import torch
    from torch import nn

    from export.mobile_form import MobileForm

    class FromImage(nn.Module):
        """Core ML hands over [1, 3, S, S] in 0..255 for its image type, not [1, S, S, 3]."""

        def __init__(self) -> None:
            super().__init__()
            self.form = MobileForm(network, contract)

        def forward(self, image: "Tensor") -> "Tensor":
            return self.form.logits(image).softmax(-1)

    with torch.no_grad():
        example = torch.zeros(1, 3, contract.side, contract.side)
        return torch.jit.trace(FromImage().eval(), example)


def _to_w8(ct: Any, model: Any) -> Any:
    recipe = ct.optimize.coreml.OpLinearQuantizerConfig(mode="linear_symmetric")
    config = ct.optimize.coreml.OptimizationConfig(global_config=recipe)
    return ct.optimize.coreml.linear_quantize_weights(model, config)


def _describe(model: Any, contract: Contract, metadata: Metadata) -> None:
    model.short_description, model.version = metadata.description, metadata.version
    model.author, model.license = metadata.author, metadata.license
    model.input_description["image"] = INPUT
    model.output_description["classLabel"] = LABEL
    model.output_description["classLabel_probs"] = PROBABILITIES
    model.user_defined_metadata[KEY] = contract.to_json()


def read_contract(path: Path) -> str:
    """The contract's JSON text out of the user-defined metadata."""
    with quiet():
        import coremltools as ct

        spec = ct.utils.load_spec(str(path))
    return str(dict(spec.description.metadata.userDefined)[KEY])


def load(path: Path, threads: int) -> Runner:
    """Open with Core ML, on Apple's systems.

    Raises:
        NoRuntime: elsewhere; `benchmark.mil` then executes the file by reference.
    """
    if platform.system() != "Darwin":
        raise NoRuntime(f"{path} needs Core ML, which only Apple's systems have")
    with quiet():
        import coremltools as ct
        from PIL import Image

        model = ct.models.MLModel(str(path))
    labels = Contract.from_json(read_contract(path), str(path)).labels

    def classify(image: Pixels) -> Any:
        answer = model.predict({"image": Image.fromarray(image)})
        probabilities = answer["classLabel_probs"]
        return np.array([probabilities[label] for label in labels], np.float32)

    return Runner(classify, f"Core ML on {platform.platform()}")
