"""How ExecuTorch splits a file between XNNPACK and its own kernels."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesionlite.export.quiet import quiet


@dataclass(frozen=True)
class Partitions:
    """What XNNPACK takes of a file.

    Attributes:
        delegate: the backend's name, or "" if it takes nothing.
        operators: number of operators in each partition, in the order of execution.
        kernels: names of ExecuTorch's own kernels that run between the partitions.
    """

    delegate: str
    operators: tuple[int, ...]
    kernels: tuple[str, ...]


def partitions(path: Path) -> Partitions:
    """Count the operators of an ExecuTorch file inside and outside of delegates.

    Args:
        path: a `.pte` file with delegates of XNNPACK only.
    """
    with quiet():
        from executorch.exir._serialize._program import deserialize_pte_binary
        from executorch.exir.schema import DelegateCall, KernelCall

        program = deserialize_pte_binary(path.read_bytes()).program
    plan = next(plan for plan in program.execution_plan if plan.name == "forward")
    called = [instruction.instr_args for instruction in plan.chains[0].instructions]
    delegates = [plan.delegates[c.delegate_index] for c in called if isinstance(c, DelegateCall)]
    return Partitions(
        delegate=delegates[0].id if delegates else "",
        operators=tuple(_operators(program, delegate) for delegate in delegates),
        kernels=tuple(plan.operators[c.op_index].name for c in called if isinstance(c, KernelCall)),
    )


def _operators(program: Any, delegate: Any) -> int:
    """The number of nodes in XNNPACK's graph.

    executorch can write such a graph, not read it. Its header has the place of the flatbuffer at
    byte 10 (`XNNHeader`), and `xnodes` is the second field of the root table (runtime_schema.fbs).
    """
    from flatbuffers.table import Table

    data = program.backend_delegate_data[delegate.processed.index].data
    (start,) = struct.unpack_from("<I", data, 10)
    (root,) = struct.unpack_from("<I", data, start)
    table = Table(data, start + root)
    return int(table.VectorLen(table.Offset(6)))
