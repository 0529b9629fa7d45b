"""Which tensors the layers of the mobile form read and write, found by watching one image pass.

A quantization plan speaks of layers by their module names and of tensors by the layer that writes
them: `NAME.out`, or `NAME.in` where no layer or activation does.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
        weights: how many a layer has; 0 for an activation.
        kind: class of the module, like "SiLU".
        activation: name of the activation that reads the output at once, or "".
    """

    input: str
    output: str
    macs: int
    elements: int
    weights: int
    kind: str
    activation: str = ""


@dataclass(frozen=True)
class Wiring:
    """The wires of a network, in the order of execution."""

    layers: dict[str, Wire]
    activations: dict[str, Wire]

    def silus(self) -> dict[str, tuple[str, str]]:
        """SiLUs between two layers, by name: the layer before and the layer behind."""
        writer = {wire.output: name for name, wire in self.layers.items()}
        reader = {wire.input: name for name, wire in self.layers.items()}
        return {
            name: (writer[wire.input], reader[wire.output])
            for name, wire in self.activations.items()
            if wire.kind == "SiLU" and wire.input in writer and wire.output in reader
        }

    def behind(self) -> dict[str, str]:
        """The kind of the activation behind a tensor, for tensors that have one."""
        return {wire.input: wire.kind for wire in self.activations.values()}


Hook = Callable[[nn.Module, tuple[Tensor], Tensor], None]


@contextmanager
def watching(network: nn.Module, hooks: Mapping[str, Hook]) -> Iterator[None]:
    """Call a hook (module, inputs, output) after each of the modules named has run, while inside.

    Without gradients, because watching is all that is done with the answers.
    """
    handles = [
        network.get_submodule(name).register_forward_hook(hook) for name, hook in hooks.items()
    ]
    try:
        with torch.no_grad():
            yield
    finally:
        for handle in handles:
            handle.remove()


def trace(form: nn.Module, image: Tensor) -> Wiring:
    """Run the mobile form on uint8 [1, S, S, 3] and note which layer hands what to which."""
    names: dict[int, str] = {}
    alive: list[Any] = []  # a freed tensor's id could be given to another
    layers: dict[str, Wire] = {}
    activations: dict[str, Wire] = {}

    def note(name: str) -> Hook:
        def hook(module: Any, given: tuple[Tensor], made: Tensor) -> None:
            alive.extend((given[0], made))
            source = names.setdefault(id(given[0]), f"{name}.in")
            names[id(made)] = f"{name}.out"
            weights = module.weight.numel() if isinstance(module, LAYERS) else 0
            macs = made.numel() * module.weight[0].numel() if weights else 0
            wires = layers if weights else activations
            kind = type(module).__name__
            wires[name] = Wire(source, f"{name}.out", macs, made.numel(), weights, kind)

        return hook

    watched = {
        name: note(name)
        for name, module in form.named_modules()
        if isinstance(module, (*LAYERS, *ACTIVATIONS))
    }
    with watching(form, watched):
        form(image)
    behind = {wire.input: name for name, wire in activations.items()}
    return Wiring(
        {n: replace(wire, activation=behind.get(wire.output, "")) for n, wire in layers.items()},
        activations,
    )
