"""GELU in ONNX files, as ONNX Runtime knows it."""

from collections import Counter
from typing import Any

CONTRIB = "com.microsoft"  # the domain of ONNX Runtime's own operations


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


def join_gelus(model: Any) -> None:
    """Write each GELU of integers as one node, ONNX Runtime's own Gelu, after `spell_gelus`.

    A GELU reads its argument twice. ONNX Runtime (1.32) gives each reader of an integer a
    DequantizeLinear of its own (EnsureUniqueDQForNodeUnit), and then does not know the GELU any
    more: a w8a8 edgenext_xx_small took 1.15 times as long. This function can go when its
    GeluFusion comes first.
    """
    from onnx import helper

    graph = model.graph
    made_by = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    gone = []
    for erf in [node for node in graph.node if node.op_type == "Erf"]:
        parts = [made_by[erf.input[0]], erf]
        while len(parts) < 5 and len(readers.get(parts[-1].output[0], [])) == 1:
            parts += readers[parts[-1].output[0]]
        argument = parts[0].input[0]
        source = made_by.get(argument)
        kinds = [part.op_type for part in parts]
        is_gelu = kinds == ["Div", "Erf", "Add", "Mul", "Mul"] and argument in parts[3].input
        if is_gelu and source is not None and source.op_type == "DequantizeLinear":
            joined = helper.make_node("Gelu", [argument], parts[-1].output, domain=CONTRIB)
            joined.metadata_props.extend(parts[-1].metadata_props)
            parts[-1].CopyFrom(joined)
            gone += parts[:-1]
    for node in gone:
        graph.node.remove(node)
    if gone:
        model.opset_import.append(helper.make_opsetid(CONTRIB, 1))
