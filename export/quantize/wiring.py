"""Find out which tensors each layer and operation of a form reads and writes, from its graph.

A quantization plan names a layer by its module, and a tensor by the layer or operation that writes
it: `NAME.out`. A tensor that something else writes, such as a norm, is `NAME.in` after the first
layer that reads it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from lesionlite.export.forms import units
from lesionlite.export.forms.capture import pads_zeros

LAYERS = (nn.Conv2d, nn.Linear)
CLIPPING = (nn.ReLU, nn.ReLU6)
ACTIVATIONS = (nn.SiLU, nn.Hardswish, nn.GELU, nn.Sigmoid, nn.Hardsigmoid, *CLIPPING)


@dataclass(frozen=True)
class Node:
    """One layer or activation.

    Attributes:
        input: name of the tensor it reads.
        output: name of the tensor it writes; if it is clipped, of the clipped tensor.
        macs: multiply-adds for one image; 0 for an activation.
        elements: number of values in the output.
        weights: number of weights; 0 for an activation.
        kind: class of the module, such as "SiLU".
        activation: name of the activation that reads the output, or "".
        passed: whether the values come through padding or max pooling, which leave them on their
            grid.
        clipping: name of the ReLU or ReLU6 that alone reads what the layer writes, or "". Integer
            kernels clip to the range of the output anyway, so it costs nothing in 8 bits.
    """

    input: str
    output: str
    macs: int
    elements: int
    weights: int
    kind: str
    activation: str = ""
    passed: bool = False
    clipping: str = ""


@dataclass(frozen=True)
class Wiring:
    """The nodes of a network, in the order of execution.

    Attributes:
        layers: convolutions and linear layers, by name.
        activations: by name, but for those that a layer's `clipping` names.
        heads: layers whose results no other layer reads: the last one, in most networks.
        program: the network as a graph, from uint8 images to logits; its modules are the form's.
        tensors: names of tensors, by the names of the graph's nodes.
    """

    layers: dict[str, Node]
    activations: dict[str, Node]
    heads: tuple[str, ...] = ()
    program: Any = field(default=None, compare=False, repr=False)
    tensors: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

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


Hook = Callable[[nn.Module, tuple[Tensor], Tensor], Tensor | None]


@contextmanager
def watching(network: nn.Module, hooks: Mapping[str, Hook]) -> Iterator[None]:
    """Inside the block, call a hook (module, inputs, output) after a module has run.

    A tensor that the hook returns replaces the output. Gradients are off inside the block.

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


class _Tracer(fx.Tracer):
    """Traces a form from images to logits; layers, activations and units stay whole."""

    def __init__(self) -> None:
        super().__init__()
        self.traced_func_name = "scores"

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one node of the graph."""
        own = type(m).__module__ == units.__name__
        return own or super().is_leaf_module(m, module_qualified_name)


class _Sizes(fx.Interpreter):
    """Notes how many values each node of a graph gives."""

    def __init__(self, program: fx.GraphModule) -> None:
        super().__init__(program)
        self.found: dict[fx.Node, int] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run one node."""
        made = super().run_node(n)
        self.found[n] = made.numel() if isinstance(made, Tensor) else 0
        return made


def trace(form: nn.Module, image: Tensor) -> Wiring:
    """Record the layers, activations and tensors of a form.

    Args:
        form: see `FromPixels`.
        image: uint8 [1, S, S, 3], to run it once.
    """
    program = fx.GraphModule(form, _Tracer().trace(form))
    sizes = _Sizes(program)
    with torch.no_grad():
        sizes.run(image)
    return _Reader(program, dict(form.named_modules()), sizes.found).wiring()


class _Reader:
    """Reads the layers, activations and tensors out of a graph."""

    def __init__(
        self, program: fx.GraphModule, modules: dict[str, Any], sizes: dict[fx.Node, int]
    ) -> None:
        self.program, self.sizes = program, sizes
        calls = [node for node in program.graph.nodes if node.op == "call_module"]
        self.modules: dict[fx.Node, Any] = {node: modules[str(node.target)] for node in calls}
        self.clipped = _clipped(self.modules)
        self.names: dict[fx.Node, str] = {}

    def wiring(self) -> Wiring:
        """What was read."""
        layers: dict[str, Node] = {}
        activations: dict[str, Node] = {}
        for node, module in self.modules.items():
            if isinstance(module, LAYERS):
                layers[str(node.target)] = self._node(node, module)
            elif isinstance(module, ACTIVATIONS) and node not in self.clipped.values():
                activations[str(node.target)] = self._node(node, module)
        behind = {node.input: name for name, node in activations.items()}
        return Wiring(
            {n: replace(one, activation=behind.get(one.output, "")) for n, one in layers.items()},
            activations,
            _heads(self.program.graph, self.modules),
            self.program,
            {node.name: name for node, name in self.names.items()},
        )

    def _node(self, node: fx.Node, module: Any) -> Node:
        writer, passed = _source(node, self.modules)
        source = self.names.setdefault(writer, f"{node.target}.in")
        last = self.clipped.get(node, node)
        self.names[last] = f"{last.target}.out"
        is_layer, elements = isinstance(module, LAYERS), self.sizes[node]
        return Node(
            source,
            self.names[last],
            macs=elements * module.weight[0].numel() if is_layer else 0,
            elements=elements,
            weights=module.weight.numel() if is_layer else 0,
            kind=type(module).__name__,
            passed=passed,
            clipping=str(last.target) if last is not node else "",
        )


def _source(node: fx.Node, modules: dict[fx.Node, nn.Module]) -> tuple[fx.Node, bool]:
    """The node that computes what a module reads, and whether the values are padded or pooled."""
    source: Any = node.args[0]
    passed = False
    while isinstance(modules.get(source), nn.Identity | nn.MaxPool2d) or pads_zeros(source):
        passed |= not isinstance(modules.get(source), nn.Identity)
        source = source.args[0]
    return source, passed


def _clipped(modules: dict[fx.Node, nn.Module]) -> dict[fx.Node, fx.Node]:
    """The clipping behind each layer that has one, if nothing else reads the layer."""
    found = {}
    for node, module in modules.items():
        readers = list(node.users)
        if isinstance(module, LAYERS) and len(readers) == 1:
            after = modules.get(readers[0])
            if isinstance(after, CLIPPING):
                found[node] = readers[0]
    return found


def _heads(graph: fx.Graph, modules: dict[fx.Node, nn.Module]) -> tuple[str, ...]:
    """The layers between which and the output there is no other layer."""
    found: list[str] = []
    waiting, seen = list(graph.output_node().all_input_nodes), set()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if isinstance(modules.get(node), LAYERS):
            found.append(str(node.target))
        else:
            waiting += node.all_input_nodes
    return tuple(found)
