"""Write any network as a graph of plain operations, with the help of torch.export.

torch.export gives the ATen operations that the network executes in evaluation mode. `capture`
writes them anew: layers, activations, sums and so on become modules with the names of the network's
own, BatchNorm is folded into the layer before it, what does not depend on the image is computed
once, and sizes are plain numbers, except for the number of images, which stays free.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from lesionlite.errors import LesionliteError, first_line
from lesionlite.export.quiet import quiet


@dataclass(frozen=True)
class Batch:
    """A size that is a multiple of the number of images."""

    factor: int = 1

    def __mul__(self, other: int) -> "Batch":
        """A larger multiple."""
        return Batch(self.factor * other)

    __rmul__ = __mul__


@dataclass(frozen=True)
class Captured:
    """A network as a graph.

    Attributes:
        graph: from image [B, 3, H, W] to logits [B, C].
        modules: what the graph calls, by name.
        constants: tensors that the graph reads, by name.
    """

    graph: fx.Graph
    modules: dict[str, nn.Module]
    constants: dict[str, Tensor]


# fx's own type of it has no plain values in, so that mypy would refuse every use.
_aggregate: Any = map_aggregate

# Operations that change no value, and those that fold into the layer before them.
COPIES = ("clone", "detach", "contiguous", "dropout", "alias", "lift_fresh_copy")
BATCHNORM = "_native_batch_norm_legit_no_training"
ALIASES = (*COPIES, BATCHNORM, "getitem")

Rule = Callable[["Writer", fx.Node, list[Any]], Any]


class Writer:
    """Writes a graph, one operation of an exported program after the other."""

    def __init__(self, rules: dict[str, Rule]) -> None:
        """Start an empty graph.

        Args:
            rules: how to write operations, by their name in ATen; others are written as they are.
        """
        self.rules = rules
        self.graph = fx.Graph()
        self.modules: dict[str, nn.Module] = {}
        self.constants: dict[str, Tensor] = {}
        self.affine: dict[fx.Node, Any] = {}  # scale and shift that the next layer computes

    def write(self, program: Any) -> Captured:
        """Write a whole program."""
        stored, values = _stored(program), dict[fx.Node, Any]()
        for node in program.graph.nodes:
            if node.op == "placeholder":
                held = stored.get(node.name)
                values[node] = self.graph.placeholder("image") if held is None else held
            elif node.op == "output":
                self.graph.output(self.node_of(_aggregate(node.args[0], values.get)[0]))
            else:
                args = list(_aggregate(node.args, lambda v: values.get(v, v)))
                given = {k: values.get(v, v) for k, v in node.kwargs.items()}
                values[node] = self._one(node, args, given)
        self.graph.lint()
        return Captured(self.graph, self.modules, self.constants)

    def _one(self, node: fx.Node, args: list[Any], given: dict[str, Any]) -> Any:
        name = _name(node.target)
        if name == "sym_size":
            return Batch()
        if not _depends(args) and not _depends(list(given.values())):
            return _compute(node.target, args, given)
        given.pop("memory_format", None)
        if name in self.rules and not given:
            return self.rules[name](self, node, args)
        return self.call(node.target, *args, **given)

    def call(self, function: Any, *args: Any, **given: Any) -> fx.Node:
        """Write a call of a function; tensors among the arguments become constants."""
        args, given = _aggregate((args, given), self.node_of)
        return self.graph.call_function(function, args, given)

    def module(self, name: str, module: nn.Module, *args: Any) -> fx.Node:
        """Write a call of a new module."""
        name = self._free(name)
        self.modules[name] = module
        return self.graph.call_module(name, tuple(self.node_of(value) for value in args))

    def node_of(self, value: Any) -> Any:
        """The node that gives a value: a tensor becomes a constant; numbers stay what they are."""
        if isinstance(value, Tensor):
            name = f"constant_{len(self.constants)}"
            self.constants[name] = value.detach()
            return self.graph.get_attr(name)
        return -1 if isinstance(value, Batch) else value

    def made_by(self, value: Any) -> nn.Module | None:
        """The module that makes a value, or None if a function makes it."""
        is_call = isinstance(value, fx.Node) and value.op == "call_module"
        return self.modules[str(value.target)] if is_call else None

    def _free(self, name: str) -> str:
        """A name that is not in use, nor that of a module which would then be inside another."""
        inside = any(name.startswith(f"{other}.") for other in self.modules)
        plain = name.rpartition(".")[0] + "_" + name.rpartition(".")[2] if inside else name
        free, number = plain, 1
        while free in self.modules or any(other.startswith(f"{free}.") for other in self.modules):
            number += 1
            free = f"{plain}_{number}"
        return free


def capture(network: nn.Module, side: int, rules: dict[str, Rule]) -> Captured:
    """Write a network as a graph.

    Args:
        network: in evaluation mode; maps float [B, 3, S, S] to logits [B, C].
        side: S, the side of its input in pixels.
        rules: how to write operations, by their name in ATen.

    Raises:
        LesionliteError: torch.export refuses the network; the error quotes it.
    """
    dtype = next(network.parameters()).dtype
    image = torch.zeros(2, 3, side, side, dtype=dtype)
    free = ({0: torch.export.Dim.DYNAMIC},)
    try:
        with torch.no_grad(), quiet():
            program = torch.export.export(network, (image,), dynamic_shapes=free)
            program = program.run_decompositions({})
    except Exception as error:  # of the network's own code, too
        raise LesionliteError(
            f"torch.export cannot trace the network at side {side} ({first_line(error)}); choose "
            "another network"
        ) from error
    return Writer(rules).write(program)


def _stored(program: Any) -> dict[str, Any]:
    """The tensors that a program holds, by the name of the placeholder that stands for each."""
    signature, held = program.graph_signature, {**program.constants, **program.state_dict}
    names = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    return {placeholder: held[name].detach() for placeholder, name in names.items()}


def _name(target: Any) -> str:
    """The name of an ATen operation without namespace and overload, or of a function of Python."""
    text = str(target)
    return text.split(".")[1] if text.startswith("aten.") else getattr(target, "__name__", text)


def _depends(values: list[Any]) -> bool:
    """Whether any value comes from the image."""
    found: list[fx.Node] = []
    _aggregate(values, lambda v: found.append(v) if isinstance(v, fx.Node) else v)
    return bool(found)


def _compute(target: Any, args: list[Any], given: dict[str, Any]) -> Any:
    """Compute what does not depend on the image, for one image: sums and products broadcast it."""
    if target in (operator.mul, operator.getitem):
        return target(*args)
    args, given = _aggregate((args, given), lambda v: v.factor if isinstance(v, Batch) else v)
    with torch.no_grad():
        return target(*args, **given)


def is_read_once(node: Any) -> bool:
    """Whether one operation alone reads what a layer gives, directly or through copies of it."""
    while len(node.users) == 1:
        if _name(node.target) not in ALIASES:
            return True
        node = node.args[0]
    return False


def pads_zeros(node: fx.Node) -> bool:
    """Whether a node pads a tensor with zeros."""
    is_padding = str(node.target).startswith("aten.pad.")
    return is_padding and node.args[2:3] in ((), ("constant",)) and not any(node.args[3:])
