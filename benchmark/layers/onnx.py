"""The nodes of an ONNX file, as ONNX Runtime's own profile times them.

The profile is of the graph that ONNX Runtime executes: it fuses nodes, and adds others where it
changes how tensors lie in memory.
"""

import json
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lesionlite.benchmark.layers.cost import WARM_UP, Cost, typical
from lesionlite.benchmark.peers.foreign import noise
from lesionlite.benchmark.targets.onnx_on_hexagon import SUFFIX, layer_of
from lesionlite.console import track

QUERIES = 100
OF_FILES = {"Conv", "Gemm", "MatMul"}
PRODUCTS = OF_FILES | {"QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat"}
PRODUCTS |= {"FusedConv", "FusedGemm", "FusedMatMul"}
END, REORDERED = "_kernel_time", "_nchwc"  # of names: in a profile, and of convolutions in blocks
CAST = "InsertedPrecisionFreeCast_"  # where ONNX Runtime computes fp16 in float


def costs(path: Path, threads: int) -> list[Cost]:
    """Time each node of a file; the profile itself adds about 2 µs to each.

    Args:
        path: an ONNX file.
        threads: that ONNX Runtime may use.
    """
    import onnx

    from lesionlite.export.writers.to_onnx import open_session

    with TemporaryDirectory() as folder:
        session, _ = open_session(path, threads, profile=str(Path(folder) / "profile"))
        (given,) = session.get_inputs()
        image = {given.name: noise(tuple(given.shape), np.uint8)}
        for _ in track(range(WARM_UP + QUERIES), "profiling", WARM_UP + QUERIES):
            session.run(None, image)
        events = json.loads(Path(session.end_profiling()).read_text())
    return _costs_of(events, _Names(onnx.load(path).graph))


class _Names:
    """Finds the node of a file that an executed one was made of."""

    def __init__(self, graph: Any) -> None:
        stored = {tensor.name: list[int](tensor.dims) for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "DequantizeLinear" and node.input[0] in stored:
                stored[node.output[0]] = stored[node.input[0]]
        self.nodes = {node.name: node for node in graph.node}
        self.makers = {tensor: node for node in graph.node for tensor in node.output}
        self.stored = stored

    def node(self, executed: str, operation: str) -> Any:
        """The node; None for one that only moves tensors.

        A product that an addition or an activation was fused with has the name of that one.
        """
        node = self._named(SUFFIX.sub("", executed))
        while operation in PRODUCTS and node is not None and node.op_type not in OF_FILES:
            before = [self.makers.get(tensor) for tensor in node.input]
            products = [one for one in before if one is not None and one.op_type in OF_FILES]
            node = products[-1] if products else before[0] if before else None
        return node

    def _named(self, name: str) -> Any:
        if made := self.makers.get(name.removeprefix(CAST).removesuffix(REORDERED)):
            return made
        while name and name not in self.nodes:  # "a/Mul/QuickGeluFusion/" is made of "a/Mul"
            name = name.rpartition("/")[0]
        return self.nodes.get(name)

    def multiply_adds(
        self, node: Any, operation: str, read: Sequence[Sequence[int]], made: Sequence[int]
    ) -> int:
        """Multiply-adds of a convolution or product.

        Args:
            node: of the file, or None.
            operation: that is executed.
            read: shapes of its inputs there; packed weights are missing.
            made: shape of its result there, where channels may be last, or filled up to 16.
        """
        if "Conv" not in operation:
            return prod(made) * read[0][-1]
        stored = self.stored.get(node.input[1], []) if node is not None else []
        shape = stored or list(read[1])  # fp16 and w8 files compute their weights
        last = made[-1] == shape[0] != made[1]
        return prod(shape) * prod(made) // made[-1 if last else 1]


def _costs_of(events: Sequence[Any], names: _Names) -> list[Cost]:
    """The cost of each node of a profile, in the order in which they are executed."""
    times: dict[str, list[float]] = {}
    told: dict[str, Any] = {}
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(END):
            number = event["args"]["node_index"]  # some nodes have no name
            times.setdefault(number, []).append(event["dur"] / 1000)
            told[number] = event
    return [_cost(told[number], ms, names) for number, ms in times.items()]


def _cost(event: Mapping[str, Any], times: Sequence[float], names: _Names) -> Cost:
    arguments = event["args"]
    node = names.node(event["name"].removesuffix(END), arguments["op_name"])
    read, made = (
        [shape for tensor in arguments[key] for shape in tensor.values()]
        for key in ("input_type_shape", "output_type_shape")
    )
    products = 0
    if arguments["op_name"] in PRODUCTS:
        products = names.multiply_adds(node, arguments["op_name"], read, made[0])
    layer = "" if node is None else layer_of(node.name)
    return Cost(arguments["op_name"], layer, typical(times[WARM_UP:]), products)
