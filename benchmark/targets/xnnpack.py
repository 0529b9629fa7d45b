"""What XNNPACK, the runtimes' library of fast CPU kernels, takes of a file."""

from pathlib import Path
from typing import Any

from lesionlite.benchmark.targets.tflite_layers import operators
from lesionlite.benchmark.targets.verdict import Left, Verdict, from_pieces
from lesionlite.export.execute.partitions import partitions
from lesionlite.export.quiet import quiet
from lesionlite.export.writers.tflite_file import parse


def judge_tflite(path: Path, target: str) -> Verdict:
    """Open a TFLite file with LiteRT's XNNPACK delegate.

    An operator is taken if it lies between the inputs and the outputs of a delegate.

    Args:
        path: A TFLite file.
        target: Name of the target, for the verdict.
    """
    from lesionlite.export.writers.to_tflite import open_interpreter

    known = operators(parse(path.read_bytes()))
    with quiet():
        interpreter, _ = open_interpreter(path, 1)
    rows = interpreter._get_ops_details()
    delegates = [row for row in rows if row["op_name"] == "DELEGATE"]
    writers = {
        int(tensor): index
        for index, row in enumerate(rows[: len(known)])
        for tensor in row["outputs"]
    }
    taken: set[int] = set()
    for delegate in delegates:
        taken |= _between(delegate, rows, writers)
    left = [Left(*known[index]) for index in range(len(known)) if index not in taken]
    return from_pieces(path.name, target, len(delegates), len(known), left)


def _between(delegate: Any, rows: Any, writers: dict[int, int]) -> set[int]:
    """The indices of the operators between the inputs and the outputs of a delegate."""
    given = {int(tensor) for tensor in delegate["inputs"]}
    found: set[int] = set()
    open_ = [int(tensor) for tensor in delegate["outputs"]]
    while open_:
        index = writers.get(open_.pop())
        if index is None or index in found:
            continue
        found.add(index)
        open_ += [int(t) for t in rows[index]["inputs"] if int(t) not in given]
    return found


def judge_executorch(path: Path, target: str) -> Verdict:
    """Count the delegates of an ExecuTorch file, and the kernels outside them.

    Args:
        path: A `.pte` file.
        target: Name of the target, for the verdict.
    """
    found = partitions(path)
    left = [Left(name) for name in found.kernels]
    pieces = len(found.operators)
    return from_pieces(path.name, target, pieces, pieces + len(left), left)
