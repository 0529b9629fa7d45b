"""Find out which tensors each layer of the mobile form reads and writes, by running one image.

A quantization plan names a layer by its module, and a tensor by the layer or activation that writes
it: `NAME.out`. A tensor that something else writes, such as a norm, is `NAME.in` after the first
layer that reads it.
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
class Node:
    """One layer or activation.

    Attributes:
        input: name of the tensor it reads.
        output: name of the tensor it writes.
        macs: multiply-adds for one image; 0 for an activation.
        elements: number of values in the output.
        weights: number of weights; 0 for an activation.
        kind: class of the module, such as "SiLU".
        activation: name of the activation that reads the output, or "".
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
    """The nodes of a network, in the order of execution."""

    layers: dict[str, Node]
    activations: dict[str, Node]

    def silus(self) -> dict[str, tuple[str, str]]:
        """The layer before and the layer after each SiLU that is between two layers; by SiLU."""
        writer = {node.output: name for name, node in self.layers.items()}
        reader = {node.input: name for name, node in self.layers.items()}
        return {
            name: (writer[node.input], reader[node.output])
            for name, node in self.activations.items()
            if node.kind == "SiLU" and node.input in writer and node.output in reader
        }

    def activation_after(self) -> dict[str, str]:
        """The kind of the activation that reads a tensor, by the tensor's name."""
        return {node.input: node.kind for node in self.activations.values()}


Hook = Callable[[nn.Module, tuple[Tensor], Tensor], None]


@contextmanager
def watching(network: nn.Module, hooks: Mapping[str, Hook]) -> Iterator[None]:
    """Inside the block, call a hook (module, inputs, output) after a module has run.

    Gradients are off inside the block.

    Args:
        network: has the modules.
        hooks: by name of the module.
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
    """Run the mobile form on one image, uint8 [1, S, S, 3], and record its layers and tensors."""
    names: dict[int, str] = {}
    alive: list[Any] = []  # a freed tensor's id could be given to another
    layers: dict[str, Node] = {}
    activations: dict[str, Node] = {}

    def note(name: str) -> Hook:
        def hook(module: Any, given: tuple[Tensor], made: Tensor) -> None:
            alive.extend((given[0], made))
            source = names.setdefault(id(given[0]), f"{name}.in")
            names[id(made)] = f"{name}.out"
            weights = module.weight.numel() if isinstance(module, LAYERS) else 0
            macs = made.numel() * module.weight[0].numel() if weights else 0
            nodes = layers if weights else activations
            kind = type(module).__name__
            nodes[name] = Node(source, f"{name}.out", macs, made.numel(), weights, kind)

        return hook

    watched = {
        name: note(name)
        for name, module in form.named_modules()
        if isinstance(module, (*LAYERS, *ACTIVATIONS))
    }
    with watching(form, watched):
        form(image)
    behind = {node.input: name for name, node in activations.items()}
    return Wiring(
        {n: replace(node, activation=behind.get(node.output, "")) for n, node in layers.items()},
        activations,
    )
