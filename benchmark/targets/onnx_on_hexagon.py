"""What a Snapdragon's NPU takes of an ONNX file, by ONNX Runtime's QNN provider."""

import re
from pathlib import Path

from lesionlite.benchmark.targets.hexagon import NO_FALLBACK, open_session, refuse_no_npu
from lesionlite.benchmark.targets.snapdragon import find_snapdragon
from lesionlite.benchmark.targets.verdict import Left, Verdict, from_pieces
from lesionlite.errors import LesionliteError, first_line
from lesionlite.export.writers.onnx_pixels import casts_of_pixels

RECORD = "session.record_ep_graph_assignment_info"
SUFFIX = re.compile(r"_token_\d+$")  # of nodes that the runtime has changed
CAST = "a Cast of uint8 pixels to float gives 1 for every pixel there; use DequantizeLinear"


def judge(path: Path, target: str) -> Verdict:
    """Compile a file for a Snapdragon's NPU, and see which nodes the CPU keeps.

    Args:
        path: An ONNX file.
        target: Key of `SNAPDRAGONS`.

    Raises:
        LesionliteError: There is no such Snapdragon, or the compiler is missing.
    """
    import onnx

    refuse_no_npu()
    soc = find_snapdragon(target)
    graph = onnx.load(path).graph
    if casts := casts_of_pixels(graph):
        wrong = tuple(Left("Cast", layer_of(node.name), CAST) for node in casts)
        return Verdict(path.name, target, "faulty", left=wrong)
    try:
        session = open_session(path, soc, {RECORD: "1"})
    except Exception as error:  # the provider has its own exceptions
        return Verdict(path.name, target, "refused", left=_named(error), reason=soc.hint)
    parts = session.get_provider_graph_assignment_info()
    on_npu = [part for part in parts if part.ep_name.startswith("QNN")]
    total = sum(len(part.get_nodes()) for part in parts)
    left = [
        Left(node.op_type, layer_of(node.name))
        for part in parts
        if part not in on_npu
        for node in part.get_nodes()
    ]
    return from_pieces(path.name, target, len(on_npu), total, left)


def compile_file(path: Path, target: str, out: Path) -> None:
    """Compile a file for a Snapdragon's NPU: one EPContext node, and the metadata of the file.

    Args:
        path: An ONNX file.
        target: Key of `SNAPDRAGONS`.
        out: The file to write.

    Raises:
        LesionliteError: The NPU does not take the file wholly, or the compiler is missing.
    """
    import onnx

    refuse_no_npu()
    soc = find_snapdragon(target)
    if casts_of_pixels(onnx.load(path).graph):
        raise LesionliteError(CAST)
    entries = {"enable": "1", "file_path": str(out), "embed_mode": "1"}
    settings = {f"ep.context_{key}": value for key, value in entries.items()}
    try:
        open_session(path, soc, {NO_FALLBACK: "1", **settings})
    except Exception as error:  # the provider has its own exceptions
        raise LesionliteError(soc.hint or _named(error)[0].why) from error


def _named(error: Exception) -> tuple[Left, ...]:
    """The node that an error names, with the error's text."""
    words = first_line(error).rpartition("FAIL : ")[2]
    found = re.search(r"Node '([^']+)' OpType:(\w+)", words)
    if found is None:
        return (Left("the graph", "", words),)
    why = "the NPU's compiler does not take it"
    return (Left(found[2], layer_of(found[1]), why),)


def layer_of(node: str) -> str:
    """The layer in a node's name, which is LAYER/OPERATION in our files."""
    return SUFFIX.sub("", node).rpartition("/")[0]
