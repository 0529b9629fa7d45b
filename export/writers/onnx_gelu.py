"""GELU in ONNX files, as ONNX Runtime knows it."""

from collections import Counter
from typing import Any


def spell_gelus(model: Any) -> None:
    """Write each GELU as (x * (1 + erf(x / sqrt(2)))) * 0.5, which ONNX Runtime fuses.

    PyTorch 2.13 exports x * (0.5 * (1 + erf(x / sqrt(2)))), which its GeluFusion (1.32) does not
    know, so it runs five operations. Both give the same bits, because 0.5 is a power of two. This
    function can go when one of the two is mended. Opset 20 has an operation for it, but old
    runtimes do not have opset 20.
    """
    graph = model.graph
    made_by = {name: node for node in graph.node for name in node.output}
    uses = Counter(name for node in graph.node for name in node.input)
    constants = {one.name for one in graph.initializer}

    def source(name: str, kind: str) -> Any:
        node = made_by.get(name)
        return node if node is not None and node.op_type == kind else None

    for last in graph.node:
        half = source(last.input[1], "Mul") if last.op_type == "Mul" else None
        if half is None or uses[half.output[0]] > 1:
            continue
        factors = [name for name in half.input if name in constants]
        sums = [name for name in half.input if source(name, "Add")]
        if factors and sums and any(source(name, "Erf") for name in made_by[sums[0]].input):
            last.input[:], half.input[:] = [half.output[0], *factors], [last.input[0], *sums]
