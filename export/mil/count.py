"""Count the work of a saved Core ML program, because only Apple's systems can time it."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from lesionlite.export.mil.execute import read_function
from lesionlite.export.mil.graph import shape_of
from lesionlite.export.mil.ops import COMPRESSED

IMAGE_RANK = 4  # of [B, C, H, W], the layout that the Neural Engine and GPU delegates prefer


@dataclass(frozen=True)
class Work:
    """The work in one prediction.

    Attributes:
        operations: number of operations; constants and decompression of weights do not count.
        multiply_adds: multiply-adds of convolutions, linear layers and matrix products.
        bytes_moved: bytes of all operands read and all results written, in their stored types
            (compressed weights as stored), as if no cache kept any of them.
        max_rank: largest rank of a computed value.
        off_plane: number of computed values whose rank is not 4, so not [B, C, H, W].
        moves: number of transposes and reshapes.
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
        LesionliteError: the package is missing, damaged or no ML Program, or has flexible shapes.
    """
    operations = [op for op in read_function(path).operations if _computes(op)]
    ranks = [len(shape_of(var)) for op in operations for var in op.outputs if _is_tensor(var)]
    return Work(
        operations=len(operations),
        multiply_adds=sum(_multiply_adds(op) for op in operations),
        bytes_moved=sum(_bytes(var) for op in operations for var in (*_operands(op), *op.outputs)),
        max_rank=max(ranks, default=0),
        off_plane=sum(rank != IMAGE_RANK for rank in ranks),
        moves=sum(op.op_type in ("transpose", "reshape") for op in operations),
    )


def _computes(op: Any) -> bool:
    skipped = op.op_type in COMPRESSED or op.op_type in ("const", "classify")
    return not skipped and any(var.val is None for var in op.outputs)


def _is_tensor(var: Any) -> bool:
    return hasattr(var, "shape") and hasattr(var.dtype, "__type_info__")


def _multiply_adds(op: Any) -> int:
    """Elements of the result, times the products that each of them sums."""
    if op.op_type not in ("conv", "linear", "matmul"):
        return 0
    results = prod(shape_of(op.outputs[0]))
    if op.op_type == "matmul":
        shape = shape_of(op.inputs["x"])
        return results * shape[-2 if _flag(op, "transpose_x") else -1]
    return results * prod(shape_of(op.inputs["weight"])[1:])  # one row of the weight per element


def _flag(op: Any, name: str) -> bool:
    return bool(name in op.inputs and op.inputs[name].val)


def _operands(op: Any) -> Iterator[Any]:
    """The tensors that an operation reads; for a compressed weight, the tensors that store it."""
    for given in op.inputs.values():
        for var in given if isinstance(given, list | tuple) else (given,):
            source = var.op
            if source is not None and source.op_type in COMPRESSED:
                yield from _operands(source)
            elif _is_tensor(var) and len(var.shape) > 0:  # scalar attributes cost nothing
                yield var


def _bytes(var: Any) -> int:
    if not _is_tensor(var):
        return 0
    return prod(shape_of(var)) * _width(var)


def _width(var: Any) -> int:
    """Bytes per element, from the name of the type, such as fp16 or uint8."""
    name = str(var.dtype.__type_info__())
    digits = "".join(c for c in name if c.isdigit())
    return int(digits) // 8 if digits else np.dtype(bool).itemsize
