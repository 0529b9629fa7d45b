"""What a saved Core ML program will have to do, counted: there is no runtime here to time it."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from lesionlite.export.mil.execute import read_function
from lesionlite.export.mil.graph import shape_of
from lesionlite.export.mil.ops import COMPRESSED

PLANES = 4  # [B, C, H, W]: what the Neural Engine and GPU delegates want, channels in axis 1


@dataclass(frozen=True)
class Work:
    """The work in one prediction.

    Attributes:
        operations: that compute something (constants and decompression aside).
        multiply_adds: of convolutions, linear layers and matrix products.
        bytes_moved: each operation's operands read and results written, in their stored types
            (compressed weights as stored); nothing is assumed to stay in a cache.
        max_rank: of any computed value.
        off_plane: computed values of a rank other than 4, so without [B, C, H, W].
        moves: transposes and reshapes among the operations.
    """

    operations: int
    multiply_adds: int
    bytes_moved: int
    max_rank: int
    off_plane: int
    moves: int


def count(path: Path) -> Work:
    """Count the work of a saved `.mlpackage`.

    Raises:
        LesionliteError: if it is missing, damaged, no ML Program, or of flexible shape.
    """
    operations = [op for op in read_function(path).operations if _computes(op)]
    ranks = [len(shape_of(var)) for op in operations for var in op.outputs if _is_tensor(var)]
    return Work(
        operations=len(operations),
        multiply_adds=sum(_multiply_adds(op) for op in operations),
        bytes_moved=sum(_bytes(var) for op in operations for var in (*_operands(op), *op.outputs)),
        max_rank=max(ranks, default=0),
        off_plane=sum(rank != PLANES for rank in ranks),
        moves=sum(op.op_type in ("transpose", "reshape") for op in operations),
    )


def _computes(op: Any) -> bool:
    skipped = op.op_type in COMPRESSED or op.op_type in ("const", "classify")
    return not skipped and any(var.val is None for var in op.outputs)


def _is_tensor(var: Any) -> bool:
    return hasattr(var, "shape") and hasattr(var.dtype, "__type_info__")


def _multiply_adds(op: Any) -> int:
    """Every element of the result is a sum of so many products."""
    if op.op_type not in ("conv", "linear", "matmul"):
        return 0
    results = prod(shape_of(op.outputs[0]))
    if op.op_type == "matmul":
        shape = shape_of(op.inputs["x"])
        return results * shape[-2 if _flag(op, "transpose_x") else -1]
    return results * prod(shape_of(op.inputs["weight"])[1:])  # a weight's row makes one element


def _flag(op: Any, name: str) -> bool:
    return bool(name in op.inputs and op.inputs[name].val)


def _operands(op: Any) -> Iterator[Any]:
    """The tensors that an operation reads; a compressed weight as what is stored of it."""
    for given in op.inputs.values():
        for var in given if isinstance(given, list | tuple) else (given,):
            source = var.op
            if source is not None and source.op_type in COMPRESSED:
                yield from _operands(source)
            elif _is_tensor(var) and len(var.shape) > 0:  # attributes that are numbers cost nothing
                yield var


def _bytes(var: Any) -> int:
    if not _is_tensor(var):
        return 0
    return prod(shape_of(var)) * _width(var)


def _width(var: Any) -> int:
    """Bytes of an element, from a type's name such as fp16 or uint8."""
    name = str(var.dtype.__type_info__())
    digits = "".join(c for c in name if c.isdigit())
    return int(digits) // 8 if digits else np.dtype(bool).itemsize
