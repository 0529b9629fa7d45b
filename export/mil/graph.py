"""A Core ML program, compiled to a list of operations that run without any lookup by name."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from lesionlite.errors import LesionliteError
from lesionlite.export.mil.ops import COMPRESSED, EXACT, OPS, is_operand
from lesionlite.export.mil.spatial import UnknownOp

# MIL's types: the dtype here in torch, and the dtype that `predict` returns
TYPES: dict[str, tuple[torch.dtype, Any]] = {
    "fp16": (torch.float32, np.float16),
    "fp32": (torch.float32, np.float32),
    "int32": (torch.int32, np.int32),
    "int8": (torch.int8, np.int8),
    "uint8": (torch.uint8, np.uint8),
    "bool": (torch.bool, np.bool_),
}


@dataclass(slots=True)
class Operation:
    """One operation of the program.

    Attributes:
        name: its type and name in the file, for errors.
        run: computes it; takes the operands by name, the attributes are bound.
        reads: each operand's name and its slot, or the slots of a list of tensors.
        writes: the slot of each result.
        declared: the shape and type of each result, as the file declares them.
        rounds: whether the results are rounded to fp16.
        frees: slots whose values no later operation reads.
    """

    name: str
    run: Callable[..., Any]
    reads: list[tuple[str, int | list[int]]]
    writes: list[int]
    declared: list[tuple[tuple[int, ...], torch.dtype]]
    rounds: bool
    frees: list[int] = field(default_factory=list)

    def __call__(self, slots: list[Any]) -> tuple[Tensor, ...]:
        """The results, rounded to fp16 if the file declares fp16."""
        operands = {
            name: slots[at] if isinstance(at, int) else [slots[i] for i in at]
            for name, at in self.reads
        }
        results = self.run(**operands)
        if not isinstance(results, tuple):
            results = (results,)
        return tuple(x.half().float() for x in results) if self.rounds else results

    def checked(self, slots: list[Any]) -> tuple[Tensor, ...]:
        """The results, if they have the shapes and types that the file declares.

        Raises:
            UnknownOp: they have not, or torch refuses to compute them.
        """
        try:
            results = self(slots)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise UnknownOp(f"{self.name}: {error}") from error
        if (found := [(tuple(x.shape), x.dtype) for x in results]) != self.declared:
            raise UnknownOp(f"{self.name}: {found} where the file declares {self.declared}")
        return results


class Graph:
    """A MIL function as a list of operations that read and write numbered slots.

    Attributes:
        slots: one entry for each value; constants are in theirs, other slots hold None.
        operations: in the order of execution.
    """

    def __init__(self, function: Any) -> None:
        """Compile a function that coremltools read; decompress and convert its constants.

        Raises:
            UnknownOp: the program computes an attribute, or a type is not in `TYPES`.
            LesionliteError: a shape is flexible.
        """
        self.slots: list[Any] = []
        self.operations: list[Operation] = []
        self._slot_of: dict[int, int] = {}  # id of the MIL variable -> slot
        for var in function.inputs.values():
            self._new(var)
        for op in function.operations:
            skip = op.op_type == "classify" or op.op_type in COMPRESSED
            if not skip and any(var.val is None for var in op.outputs):  # else it is a constant
                self.operations.append(self._compile(op))

    def slot(self, var: Any) -> int:
        """The slot of a variable; a constant gets one on first use."""
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

    def _compile(self, op: Any) -> Operation:
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
        return Operation(
            name=name,
            run=partial(OPS[op.op_type], **attributes),
            reads=reads,
            writes=[self._new(var) for var in op.outputs],
            declared=[(shape_of(var), TYPES[type_of(var)][0]) for var in op.outputs],
            rounds=op.op_type not in EXACT and type_of(op.outputs[0]) == "fp16",
        )

    def free_all_but(self, kept: set[int]) -> None:
        """Make each operation drop the values that no later one reads, except `kept` slots.

        Constants stay.
        """
        kept = kept | {slot for slot, value in enumerate(self.slots) if value is not None}
        for operation in reversed(self.operations):
            read = [at for _, slots in operation.reads for at in np.atleast_1d(slots).tolist()]
            operation.frees = sorted({*read, *operation.writes} - kept)
            kept.update(operation.frees)

    def execute(
        self,
        inputs: Mapping[int, Tensor],
        check: bool = False,
        watch: Callable[[str, Tensor], None] | None = None,
    ) -> list[Any]:
        """Run all operations, and return the slots.

        Args:
            inputs: values by slot.
            check: whether to compare the results' shapes and types with the file's.
            watch: called with the name of each operation and each of its results.

        Raises:
            UnknownOp: if `check`, as `Operation.checked`.
        """
        slots = self.slots.copy()
        for at, value in inputs.items():
            slots[at] = value
        for operation in self.operations:
            results = operation.checked(slots) if check else operation(slots)
            for at, result in zip(operation.writes, results, strict=True):
                slots[at] = result
                if watch is not None:
                    watch(operation.name, result)
            for at in operation.frees:
                slots[at] = None
        return slots

    def traced(self, inputs: Mapping[int, Tensor], kept: Sequence[int]) -> Callable[..., Any]:
        """All operations as one function of the inputs, which gives the `kept` slots.

        It runs the same kernels without Python between them, in two thirds of the time. Tracing
        misses what an operation does in Python with a value, so the function is the traced one only
        if it gives the same bits for other values.

        Args:
            inputs: an example, by slot; the function takes tensors in their order.
            kept: slots of its results.
        """

        def run(*values: Tensor) -> tuple[Tensor, ...]:
            slots = self.execute(dict(zip(inputs, values, strict=True)))
            return tuple(slots[at] for at in kept)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shapes become constants; a program's are fixed
            function = torch.jit.trace(run, tuple(inputs.values()), check_trace=False)
        seeded = torch.Generator().manual_seed(0)  # nobody else's random numbers change
        noise = [
            torch.rand(x.shape, generator=seeded) * 255 if x.is_floating_point() else x
            for x in inputs.values()
        ]
        pairs = zip(run(*noise), function(*noise), strict=True)
        same = all(torch.allclose(x, y, rtol=0, atol=0, equal_nan=True) for x, y in pairs)
        return cast("Callable[..., Any]", function) if same else run


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
        LesionliteError: it is flexible.
    """
    if not all(isinstance(n, int | np.integer | float) for n in var.shape):
        raise LesionliteError(f"the shape of {var.name} is flexible; export with a fixed one")
    return tuple(int(n) for n in var.shape)  # some are floats as coremltools infers them


def type_of(var: Any) -> str:
    """A MIL variable's element type.

    Raises:
        UnknownOp: it is not in `TYPES`.
    """
    name = str(var.dtype.__type_info__())
    if name not in TYPES:
        raise UnknownOp(f"with values of type {name} ({var.name})")
    return name
