"""How much the answers change if one layer is quantized, and how much its outputs' means do."""

from typing import Any

import torch
from torch import Tensor, fx, nn

from lesionlite.console import track
from lesionlite.export.quantize.quant_params import QuantParams
from lesionlite.export.quantize.quantized_form import (
    FakeQuantize,
    QuantizedLayer,
    QuantizedSiLU,
    swap,
)
from lesionlite.export.quantize.ranges import BATCH
from lesionlite.export.quantize.wiring import Hook, Wiring, watching

SENSITIVITY_IMAGES = 48  # to measure how sensitive single layers are


def subsample(images: Tensor, count: int) -> Tensor:
    """About `count` images, evenly spaced: the images are sorted by class."""
    return images[:: max(1, len(images) // count)]


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

    It keeps the tensors of the float network through which all information passes, one between
    each two blocks, so only what follows the last of them before the changed layer runs again.
    """

    def __init__(self, program: fx.GraphModule, images: Tensor) -> None:
        """Run the float network once, on uint8 images [N, S, S, 3]."""
        self.program, self.images = program, images
        self.nodes = list(program.graph.nodes)
        # Of a module that runs twice, the first place.
        self.place = {
            str(node.target): index
            for index, node in reversed([*enumerate(self.nodes)])
            if node.op == "call_module"
        }
        keeper = _Keeper(program, _cuts(self.nodes))
        self.reference = keeper.run(images)
        self.kept = keeper.kept

    def divergence(self, name: str) -> float:
        """Divergence of the network as it is: only the layer or activation `name` may differ."""
        before = [index for index in self.kept if index < self.place[name]]
        known: dict[fx.Node, Any] = {}
        if before:
            done = self.nodes[: before[-1] + 1]
            known = {node: None for node in done if node.op not in ("get_attr", "placeholder")}
            known[done[-1]] = self.kept[before[-1]]
        runner = fx.Interpreter(self.program)
        return divergence(runner.run(self.images, initial_env=known), self.reference)


class _Keeper(fx.Interpreter):
    """Runs a network, and keeps what some of its nodes give."""

    def __init__(self, program: fx.GraphModule, places: dict[fx.Node, int]) -> None:
        super().__init__(program)
        self.places, self.kept = places, dict[int, Any]()

    def run_node(self, n: fx.Node) -> Any:
        """Run one node."""
        made = super().run_node(n)
        if n in self.places:
            self.kept[self.places[n]] = made
        return made


def _cuts(nodes: list[fx.Node]) -> dict[fx.Node, int]:
    """The nodes whose result alone is needed by what follows, and their places."""
    order = {node: index for index, node in enumerate(nodes)}
    needed: set[fx.Node] = set()
    found = {}
    for index, node in enumerate(nodes):
        if node.op in ("get_attr", "output"):
            continue
        needed = {one for one in {*needed, node} if any(order[u] > index for u in one.users)}
        if needed == {node} and node.op == "call_module":
            found[node] = index
    return found


@torch.no_grad()
def sensitivities(
    wiring: Wiring, grids: dict[str, QuantParams], images: Tensor
) -> dict[str, float]:
    """The divergence, in nats, if one layer or SiLU is quantized alone; by its name.

    Args:
        wiring: of the float mobile form; its program is the same afterwards.
        grids: scale and zero point by tensor.
        images: uint8 [N, S, S, 3].
    """
    program = wiring.program
    probe = Probe(program, images)
    units: dict[str, nn.Module] = {
        name: QuantizedLayer(
            program.get_submodule(name),
            FakeQuantize(grids[node.input], True),
            FakeQuantize(grids[node.output], True),
        )
        for name, node in wiring.layers.items()
    }
    for name in wiring.silus():
        units[name] = QuantizedSiLU(grids[wiring.activations[name].output], True)
    found = {}
    for name, module in track(units.items(), "sensitivity of each layer", len(units)):
        before = swap(program, name, module)
        found[name] = probe.divergence(name)
        swap(program, name, before)
    return found


def channel_means(layer: nn.Module, made: Tensor) -> Tensor:
    """The mean of each output channel of a convolution or linear layer.

    Args:
        layer: that wrote it.
        made: [N, O, H, W] of a convolution, [..., O] of a linear layer.

    Returns:
        [O].
    """
    channel = 1 if isinstance(layer, nn.Conv2d) else made.dim() - 1
    return made.mean([axis for axis in range(made.dim()) if axis != channel])


def bias_corrections(
    form: Any,
    wiring: Wiring,
    grids: dict[str, QuantParams],
    layers: tuple[str, ...],
    images: Tensor,
) -> dict[str, tuple[float, ...]]:
    """Bias corrections: mean of the float output minus that of the quantized one, per channel.

    Nagel et al. 2019, arXiv 1906.04721, section 4.2, with the means measured on images instead of
    derived from BatchNorm. Inputs and weights are quantized, outputs are not.

    Args:
        form: the mobile form, which computes in float; its weights may be rounded.
        wiring: the form's.
        grids: scale and zero point by tensor.
        layers: names of the layers to correct.
        images: uint8 [N, S, S, 3].

    Returns:
        By layer, what to add to the bias of each output channel.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}

    def watch(name: str) -> Hook:
        source = FakeQuantize(grids[wiring.layers[name].input], True)
        rounded = QuantizedLayer(form.get_submodule(name), source, nn.Identity())

        def hook(module: nn.Module, given: tuple[Tensor], made: Tensor) -> None:
            lost = channel_means(module, made - rounded(given[0]))
            sums[name] = sums.get(name, torch.zeros_like(lost)) + lost * len(made)
            counts[name] = counts.get(name, 0) + len(made)

        return hook

    with watching(form, {name: watch(name) for name in layers}):
        for batch in images.split(BATCH):
            form(batch)
    return {name: tuple((sums[name] / counts[name]).tolist()) for name in layers}
