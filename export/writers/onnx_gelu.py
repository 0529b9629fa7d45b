"""GELU in ONNX files, as ONNX Runtime knows it."""

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
    constants = {one.name for one in graph.initializer}

    def source(name: str, kind: str) -> Any:
        node = made_by.get(name)
        return node if node is not None and node.op_type == kind else None

    for last in graph.node:
        if last.op_type != "Mul":
            continue
        x, scaled = last.input
        half = source(scaled, "Mul")
        if half is None or not constants.intersection(half.input):
            continue
        (constant,) = constants.intersection(half.input)
        (rest,) = set(half.input) - {constant}
        add = source(rest, "Add")
        if add is not None and any(source(name, "Erf") for name in add.input):
            half.input[:] = [x, rest]
            last.input[:] = [scaled, constant]
