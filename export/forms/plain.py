"""The form of any network of timm: the operations that it executes, with norms folded.

Networks with several branches in training become one convolution where timm can do that
(MobileOne, RepViT, FastViT), 1/255 and 1/std fold into the first layer, the temperature and
the logit adjustment into the last.
"""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, fx, nn

from lesionlite.contract import Contract
from lesionlite.export.forms.attention import GROUPED, NCHW, Variant
from lesionlite.export.forms.base import FromPixels
from lesionlite.export.forms.capture import Captured, Rule, capture, pads_zeros
from lesionlite.export.forms.fold import calibrated_layer
from lesionlite.export.forms.rules import RULES
from lesionlite.export.forms.xnnpack_rules import XNNPACK_RULES
from lesionlite.train.networks import import_timm


class MobileForm(FromPixels):
    """A network of timm, from pixels to probabilities."""

    mean: Tensor | None

    def __init__(self, network: nn.Module, contract: Contract, variant: Variant = NCHW) -> None:
        """Rewrite `network`, without changing it.

        Args:
            network: of timm, in evaluation mode, any float dtype.
            contract: has the side, the normalization, the temperature and the logit adjustment.
            variant: how to write it for the runtime.

        Raises:
            LesionliteError: torch.export refuses the network.
        """
        dtype = next(network.parameters()).dtype
        super().__init__(dtype, variant.cast_first)
        captured = capture(_in_one_branch(network), contract.side, _rules(variant))
        _fold_scale(captured, 255 * torch.tensor(contract.std, dtype=dtype))
        _calibrate(captured, contract, dtype)
        mean = 255 * torch.tensor(contract.mean, dtype=dtype)
        self.register_buffer("mean", mean[:, None, None] if mean.any() else None)
        for name, module in captured.modules.items():
            _place(self, name, module)
        for name, value in captured.constants.items():
            self.register_buffer(name, value)
        code = captured.graph.python_code("self")
        names = dict(code.globals)
        exec(code.src, names)  # the graph as a function, as fx.GraphModule makes it
        self._network = names["forward"]
        self.requires_grad_(False).eval()

    def logits(self, image: Tensor) -> Tensor:
        """As `FromPixels.logits`."""
        if self.mean is not None:
            image = image - self.mean
        made: Tensor = self._network(self, image)
        return made


def _rules(variant: Variant) -> dict[str, Rule]:
    """How to write operations for a runtime."""
    return XNNPACK_RULES if variant == GROUPED else RULES


def _in_one_branch(network: nn.Module) -> nn.Module:
    """The network with the branches that it has for training merged, where timm can do that."""
    import_timm()
    from timm.utils.model import reparameterize_model

    before = torch.get_default_dtype()
    torch.set_default_dtype(next(network.parameters()).dtype)  # of the layers that timm makes
    try:
        merged: nn.Module = reparameterize_model(deepcopy(network))
    finally:
        torch.set_default_dtype(before)
    return merged.eval()


def _place(parent: nn.Module, name: str, module: nn.Module) -> None:
    """Add a module under a name with dots."""
    *holders, last = name.split(".")
    for holder in holders:
        if not hasattr(parent, holder):
            parent.add_module(holder, nn.Module())
        parent = getattr(parent, holder)
    parent.add_module(last, module)


def _fold_scale(captured: Captured, scale: Tensor) -> None:
    """Divide the image's channels by `scale`: in the convolutions that read it, else before."""
    graph = captured.graph
    image = next(iter(graph.nodes))
    readers = [_past_padding(node) for node in image.users]
    first: list[Any] = [captured.modules.get(str(node.target)) for node in readers]
    if all(isinstance(layer, nn.Conv2d) and layer.groups == 1 for layer in first):
        for layer in first:
            layer.weight.data /= scale[None, :, None, None]
        return
    captured.constants["scale"] = 1 / scale[:, None, None]
    with graph.inserting_after(image):
        factor = graph.get_attr("scale")
    with graph.inserting_after(factor):
        scaled = graph.call_function(torch.mul, (image, factor))
    image.replace_all_uses_with(scaled, lambda node: node is not scaled)


def _past_padding(node: fx.Node) -> fx.Node:
    """The reader of a padded tensor: zeros stay zeros when they are scaled."""
    return next(iter(node.users)) if pads_zeros(node) and len(node.users) == 1 else node


def _calibrate(captured: Captured, contract: Contract, dtype: torch.dtype) -> None:
    """Divide the logits by the temperature, and adjust them: in the last layer, else behind it."""
    *_, output = captured.graph.nodes
    logits: Any = output.args[0]
    name = str(logits.target)
    last = captured.modules.get(name)
    if isinstance(last, nn.Linear) and len(logits.users) == 1:
        captured.modules[name] = calibrated_layer(last, contract)
        return
    with captured.graph.inserting_before(output):
        scaled = logits
        if contract.temperature != 1:
            scaled = captured.graph.call_function(torch.mul, (logits, 1 / contract.temperature))
        if contract.logit_adjustment:
            captured.constants["adjustment"] = torch.tensor(contract.logit_adjustment, dtype=dtype)
            shift = captured.graph.get_attr("adjustment")
            scaled = captured.graph.call_function(torch.add, (scaled, shift))
    output.args = (scaled,)
