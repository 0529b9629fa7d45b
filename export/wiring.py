"""Which tensors the layers of the mobile form read and write, found by watching one image pass.

A quantization plan speaks of layers by their module names and of tensors by the layer that writes
them: `NAME.out`, or `NAME.in` where no layer or activation does.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

LAYERS = (nn.Conv2d, nn.Linear)
ACTIVATIONS = (nn.SiLU, nn.ReLU)


@dataclass(frozen=True)
class Wire:
    """One layer or activation.

    Attributes:
        input: name of the tensor it reads.
        output: name of the tensor it writes.
        macs: multiply-adds for one image; 0 for an activation.
        elements: values in the output.
        activation: name of the activation that reads the output at once, or "".
    """

    input: str
    output: str
    macs: int
    elements: int
    activation: str = ""


@dataclass(frozen=True)
class Wiring:
    """The wires of a network, in the order of execution."""

    layers: dict[str, Wire]
    activations: dict[str, Wire]

    def silus(self, form: nn.Module) -> dict[str, tuple[str, str]]:
        """SiLUs between two layers, by name: the layer before and the layer behind."""
        writer = {wire.output: name for name, wire in self.layers.items()}
        reader = {wire.input: name for name, wire in self.layers.items()}
        return {
            name: (writer[wire.input], reader[wire.output])
            for name, wire in self.activations.items()
            if isinstance(form.get_submodule(name), nn.SiLU)
            and wire.input in writer
            and wire.output in reader
        }

    def tensors(self) -> dict[str, str]:
        """Every tensor that a layer reads or writes, with the activation behind it or ""."""
        behind = {wire.output: wire.activation for wire in self.layers.values()}
        read = {wire.input: behind.get(wire.input, "") for wire in self.layers.values()}
        return {**read, **behind}


def trace(form: nn.Module, image: Tensor) -> Wiring:
    """Run the mobile form on uint8 [1, S, S, 3] and note which layer hands what to which."""
    names: dict[int, str] = {}
    alive: list[Any] = []  # a freed tensor's id could be given to another
    layers: dict[str, Wire] = {}
    activations: dict[str, Wire] = {}

    def note(name: str, module: nn.Module, given: Tensor, made: Tensor) -> None:
        alive.extend((given, made))
        source = names.setdefault(id(given), f"{name}.in")
        names[id(made)] = f"{name}.out"
        is_layer = isinstance(module, LAYERS)
        weight: Any = module.weight if is_layer else None
        macs = made.numel() * weight[0].numel() if is_layer else 0
        wires = layers if is_layer else activations
        wires[name] = Wire(source, f"{name}.out", macs, made.numel())

    handles = [
        module.register_forward_hook(lambda m, i, o, name=name: note(name, m, i[0], o))
        for name, module in form.named_modules()
        if isinstance(module, (*LAYERS, *ACTIVATIONS))
    ]
    with torch.no_grad():
        form(image)
    for handle in handles:
        handle.remove()
    behind = {wire.input: name for name, wire in activations.items()}
    return Wiring(
        {
            name: Wire(w.input, w.output, w.macs, w.elements, behind.get(w.output, ""))
            for name, w in layers.items()
        },
        activations,
    )
