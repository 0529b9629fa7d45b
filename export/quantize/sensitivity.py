"""What rounding one layer alone does to the network's answers, and what it does to its mean."""

import torch
from torch import Tensor, nn

from lesionlite.console import track
from lesionlite.export.forms.mobilevitv2 import MobileForm
from lesionlite.export.quantize.quant_params import QuantParams
from lesionlite.export.quantize.quantized_form import QuantizedLayer, QuantizedSiLU, Rounding, swap
from lesionlite.export.quantize.ranges import BATCH
from lesionlite.export.quantize.wiring import Hook, Wiring, watching


def divergence(logits: Tensor, reference: Tensor) -> float:
    """Mean Kullback-Leibler divergence, in nats, of softmax(logits) [N, C] from the reference's.

    It grows with the square of the rounding error, so that those of independent layers add up.
    """
    expected = reference.log_softmax(1)
    return float((expected.exp() * (expected - logits.log_softmax(1))).sum(1).mean())


class Probe:
    """Keeps what every block reads, so that behind a changed layer only the rest is run again."""

    def __init__(self, form: MobileForm, images: Tensor) -> None:
        """Run the float form on uint8 [N, S, S, 3] once."""
        self.form, self.pixels = form, form.pixels(images)
        self.inputs: list[Tensor] = []

        def keep(module: nn.Module, given: tuple[Tensor], made: Tensor) -> None:
            self.inputs.append(given[0])

        with watching(form, {f"blocks.{index}": keep for index in range(len(form.blocks))}):
            self.reference = form.logits(self.pixels)

    def divergence(self, name: str) -> float:
        """Of the form as it is now, changed in the layer or activation `name` only."""
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
    """Divergence by every layer and SiLU alone, by name; images are uint8 [N, S, S, 3]."""
    probe = Probe(form, images)
    units: dict[str, nn.Module] = {
        name: QuantizedLayer(
            form.get_submodule(name),
            Rounding(grids[wire.input], True),
            Rounding(grids[wire.output], True),
        )
        for name, wire in wiring.layers.items()
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
    """How far rounding a layer's input and weights shifts its output, per channel, negated.

    Added to the bias it is the bias correction of Nagel et al. 2019 (section 4.2), measured on
    images uint8 [N, S, S, 3] instead of derived from BatchNorm.
    """
    sums: dict[str, Tensor] = {}
    rounded = {
        name: QuantizedLayer(
            form.get_submodule(name),
            Rounding(grids[wiring.layers[name].input], True),
            nn.Identity(),
        )
        for name in layers
    }

    def watch(name: str) -> Hook:
        def hook(module: nn.Module, given: tuple[Tensor], made: Tensor) -> None:
            off = made - rounded[name](given[0])
            channel = 1 if isinstance(module, nn.Conv2d) else off.dim() - 1
            shift = off.mean([axis for axis in range(off.dim()) if axis != channel])
            sums[name] = sums.get(name, torch.zeros_like(shift)) + shift * len(made) / len(images)

        return hook

    with watching(form, {name: watch(name) for name in layers}):
        for batch in images.split(BATCH):
            form(batch)
    return {name: tuple(sums[name].tolist()) for name in layers}
