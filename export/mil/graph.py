"""A Core ML program as a flat list of steps that look nothing up while they run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lesionlite.errors import LesionliteError
from lesionlite.export.mil.ops import COMPRESSED, EXACT, OPS, is_operand
from lesionlite.export.mil.spatial import UnknownOp

# MIL's types: how torch holds them here, how `predict` returns them
TYPES: dict[str, tuple[torch.dtype, Any]] = {
    "fp16": (torch.float32, np.float16),
    "fp32": (torch.float32, np.float32),
    "int32": (torch.int32, np.int32),
    "int8": (torch.int8, np.int8),
    "uint8": (torch.uint8, np.uint8),
    "bool": (torch.bool, np.bool_),
}


@dataclass(slots=True)
class Step:
    """One operation: its attributes are bound, its operands and results are slots."""

    name: str
    run: Callable[..., Any]
    reads: list[tuple[str, int | list[int]]]
    writes: list[int]
    promised: list[tuple[tuple[int, ...], torch.dtype]]  # the results' shapes and types
    rounds: bool  # to fp16
    frees: list[int] = field(default_factory=list)

    def __call__(self, slots: list[Any]) -> tuple[Tensor, ...]:
        """The results, rounded to fp16 where the file says so."""
        operands = {
            name: slots[at] if isinstance(at, int) else [slots[i] for i in at]
            for name, at in self.reads
        }
        results = self.run(**operands)
        if not isinstance(results, tuple):
            results = (results,)
        return tuple(x.half().float() for x in results) if self.rounds else results

    def checked(self, slots: list[Any]) -> tuple[Tensor, ...]:
        """The same, but whatever does not go as the file promises is an operation not known."""
        try:
            results = self(slots)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise UnknownOp(f"{self.name}: {error}") from error
        if (found := [(tuple(x.shape), x.dtype) for x in results]) != self.promised:
            raise UnknownOp(f"{self.name}: {found} where the file promises {self.promised}")
        return results


class Graph:
    """A MIL function as a flat list of steps over slots; constants lie in their slots already."""

    def __init__(self, function: Any) -> None:
        """Compile what coremltools read; every constant is expanded and converted once, here.

        Raises:
            UnknownOp: if an attribute is computed by the program, or a type is not in `TYPES`.
            LesionliteError: if a shape is flexible.
        """
        self.slots: list[Any] = []
        self.steps: list[Step] = []
        self._slot_of: dict[int, int] = {}  # id of the MIL variable -> slot
        for var in function.inputs.values():
            self._new(var)
        for op in function.operations:
            skip = op.op_type == "classify" or op.op_type in COMPRESSED
            if not skip and any(var.val is None for var in op.outputs):  # else it is a constant
                self.steps.append(self._step(op))

    def slot(self, var: Any) -> int:
        """Where the variable's value lies, or will lie."""
        if id(var) not in self._slot_of:
            value = var.val
            if value is None and var.op is not None and var.op.op_type in COMPRESSED:
                value = var.op.materialized_val_inference()
            if value is None:
                raise UnknownOp(f"with an operand that nothing computes ({var.name})")
            self._new(var, _constant(value))
        return self._slot_of[id(var)]

    def _new(self, var: Any, value: Tensor | None = None) -> int:
        self._slot_of[id(var)] = len(self.slots)
        self.slots.append(value)
        return self._slot_of[id(var)]

    def _step(self, op: Any) -> Step:
        name = f"{op.op_type} ({op.name})"
        reads: list[tuple[str, int | list[int]]] = []
        attributes: dict[str, Any] = {}
        for key, var in op.inputs.items():
            if is_operand(op.op_type, key):
                many = isinstance(var, list | tuple)
                reads.append((key, [self.slot(v) for v in var] if many else self.slot(var)))
            elif var.val is None:
                raise UnknownOp(f"{name} with a computed {key}")
            else:
                attributes[key] = _plain(var.val)
        return Step(
            name=name,
            run=partial(OPS[op.op_type], **attributes),
            reads=reads,
            writes=[self._new(var) for var in op.outputs],
            promised=[(shape_of(var), TYPES[type_of(var)][0]) for var in op.outputs],
            rounds=op.op_type not in EXACT and type_of(op.outputs[0]) == "fp16",
        )

    def free_all_but(self, kept: set[int]) -> None:
        """Have every step drop the values that no later step reads; constants stay."""
        kept = kept | {slot for slot, value in enumerate(self.slots) if value is not None}
        for step in reversed(self.steps):
            read = [at for _, place in step.reads for at in np.atleast_1d(place).tolist()]
            step.frees = sorted({*read, *step.writes} - kept)
            kept.update(step.frees)

    def execute(
        self,
        fed: Mapping[int, Tensor],
        check: bool = False,
        watch: Callable[[str, Tensor], None] | None = None,
    ) -> list[Any]:
        """All slots after the last step, given the values of the input slots.

        Args:
            fed: by slot.
            check: whether shapes and types are compared with the file's.
            watch: called with each step's name and each of its results.
        """
        slots = self.slots.copy()
        for at, value in fed.items():
            slots[at] = value
        for step in self.steps:
            results = step.checked(slots) if check else step(slots)
            for at, result in zip(step.writes, results, strict=True):
                slots[at] = result
                if watch is not None:
                    watch(step.name, result)
            for at in step.frees:
                slots[at] = None
        return slots


def _constant(value: Any) -> Tensor:
    array = np.asarray(value)
    kinds = {"f": np.float32, "i": np.int32, "u": np.int32, "b": np.bool_}
    if array.dtype.kind not in kinds:
        raise LesionliteError(f"the program holds a constant tensor of type {array.dtype}")
    return torch.from_numpy(np.array(array, kinds[array.dtype.kind], order="C"))  # a writable copy


def _plain(value: Any) -> Any:
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return tuple(plain) if isinstance(plain, list) else plain


def shape_of(var: Any) -> tuple[int, ...]:
    """A MIL variable's shape.

    Raises:
        LesionliteError: if it is flexible.
    """
    if not all(isinstance(n, int | np.integer | float) for n in var.shape):
        raise LesionliteError(f"the shape of {var.name} is flexible; export with a fixed one")
    return tuple(int(n) for n in var.shape)  # coremltools infers some as floats


def type_of(var: Any) -> str:
    """A MIL variable's element type.

    Raises:
        UnknownOp: if it is not in `TYPES`.
    """
    name = str(var.dtype.__type_info__())
    if name not in TYPES:
        raise UnknownOp(f"with values of type {name} ({var.name})")
    return name
