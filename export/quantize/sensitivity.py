"""How much the answers change if one layer is quantized, and how much its outputs' means do."""

import torch
from torch import Tensor, nn

from lesionlite.console import track
from lesionlite.export.forms.mobilevitv2 import MobileForm
from lesionlite.export.quantize.quant_params import QuantParams
from lesionlite.export.quantize.quantized_form import (
    FakeQuantize,
    QuantizedLayer,
    QuantizedSiLU,
    swap,
)
from lesionlite.export.quantize.ranges import BATCH
from lesionlite.export.quantize.wiring import Hook, Wiring, watching


def divergence(logits: Tensor, reference: Tensor) -> float:
    """Mean Kullback-Leibler divergence KL(reference || logits) after softmax, in nats.

    It grows with the square of the quantization error, so the divergences of layers with
    independent errors add up.

    Args:
        logits: [N, C], of the quantized network.
        reference: [N, C], of the float network.
    """
    expected = reference.log_softmax(1)
    return float((expected.exp() * (expected - logits.log_softmax(1))).sum(1).mean())


class Probe:
    """Measures a change of one layer quickly.

    It keeps each block's input in the float network, so only the blocks from the changed layer on
    have to run again.
    """

    def __init__(self, form: MobileForm, images: Tensor) -> None:
        """Run the float form once, on uint8 images [N, S, S, 3]."""
        self.form, self.pixels = form, form.pixels(images)
        self.inputs: list[Tensor] = []

        def keep(module: nn.Module, given: tuple[Tensor], made: Tensor) -> None:
            self.inputs.append(given[0])

        with watching(form, {f"blocks.{index}": keep for index in range(len(form.blocks))}):
            self.reference = form.logits(self.pixels)

    def divergence(self, name: str) -> float:
        """Divergence of the form as it is now: only the layer or activation `name` may differ."""
        first, *rest = name.split(".")
        if first == "stem":
            return divergence(self.form.logits(self.pixels), self.reference)
        index = int(rest[0]) if first == "blocks" else len(self.inputs) - 1
        x = self.inputs[index]
        for block in list(self.form.blocks)[index:]:
            x = block(x)
        return divergence(self.form.classify(x), self.reference)


@torch.no_grad()
def sensitivities(
    form: MobileForm, wiring: Wiring, grids: dict[str, QuantParams], images: Tensor
) -> dict[str, float]:
    """The divergence, in nats, if one layer or SiLU is quantized alone; by its name.

    Args:
        form: the float mobile form; it is the same afterwards.
        wiring: the form's.
        grids: scale and zero point by tensor.
        images: uint8 [N, S, S, 3].
    """
    probe = Probe(form, images)
    units: dict[str, nn.Module] = {
        name: QuantizedLayer(
            form.get_submodule(name),
            FakeQuantize(grids[node.input], True),
            FakeQuantize(grids[node.output], True),
        )
        for name, node in wiring.layers.items()
    }
    for name in wiring.silus():
        units[name] = QuantizedSiLU(grids[wiring.activations[name].output], True)
    found = {}
    for name, module in track(units.items(), "sensitivity of each layer", len(units)):
        before = swap(form, name, module)
        found[name] = probe.divergence(name)
        swap(form, name, before)
    return found


def bias_corrections(
    form: MobileForm,
    wiring: Wiring,
    grids: dict[str, QuantParams],
    layers: tuple[str, ...],
    images: Tensor,
) -> dict[str, tuple[float, ...]]:
    """Bias corrections: mean of the float output minus that of the quantized one, per channel.

    Nagel et al. 2019, arXiv 1906.04721, section 4.2, with the means measured on images instead of
    derived from BatchNorm. Inputs and weights are quantized, outputs are not.

    Args:
        form: the float mobile form.
        wiring: the form's.
        grids: scale and zero point by tensor.
        layers: names of the layers to correct.
        images: uint8 [N, S, S, 3].

    Returns:
        By layer, what to add to the bias of each output channel.
    """
    sums: dict[str, Tensor] = {}
    rounded = {
        name: QuantizedLayer(
            form.get_submodule(name),
            FakeQuantize(grids[wiring.layers[name].input], True),
            nn.Identity(),
        )
        for name in layers
    }

    def watch(name: str) -> Hook:
        def hook(module: nn.Module, given: tuple[Tensor], made: Tensor) -> None:
            error = made - rounded[name](given[0])
            channel = 1 if isinstance(module, nn.Conv2d) else error.dim() - 1
            shift = error.mean([axis for axis in range(error.dim()) if axis != channel])
            sums[name] = sums.get(name, torch.zeros_like(shift)) + shift * len(made) / len(images)

        return hook

    with watching(form, {name: watch(name) for name in layers}):
        for batch in images.split(BATCH):
            form(batch)
    return {name: tuple(sums[name].tolist()) for name in layers}
