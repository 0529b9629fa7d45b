"""Rules for Apple's Neural Engine, applied to a Core ML package. They warn; they prove nothing.

Apple publishes no compiler and no list. The rules are those that its engineers and others have
published: "Deploying Transformers on the Apple Neural Engine" (Apple, 2022), the guide of
coremltools, and the notes of github.com/hollance/neural-engine.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lesionlite.benchmark.targets.verdict import Left, Verdict
from lesionlite.export.format import import_coremltools

FLOAT32, MOST_RANK, MOST_LENGTH = 11, 4, 16384  # 11: in MIL's DataType
ELSEWHERE = (
    *("gather", "gather_nd", "gather_along_axis", "scatter", "scatter_nd", "non_zero", "cumsum"),
    *("while_loop", "cond", "lstm", "gru", "rnn", "topk", "argsort", "band_part"),
)
IGNORED = ("const", "cast")  # a cast only converts the input or the output
NO_RULE = "no known rule speaks against it; only a device can tell"


def judge(path: Path, target: str) -> Verdict:
    """Look for operations that the Neural Engine may not take.

    Args:
        path: A Core ML package.
        target: Name of the target, for the verdict.
    """
    ct = import_coremltools()

    block = ct.utils.load_spec(str(path)).mlProgram.functions["main"]
    operations = [
        operation
        for operation in block.block_specializations[block.opset].operations
        if operation.type not in IGNORED and not operation.type.startswith("constexpr_")
    ]
    left = tuple(
        Left(operation.type, operation.outputs[0].name, why)
        for operation in operations
        for why in _complaints(operation)
    )
    total = len(operations)
    if left:
        return Verdict(path.name, target, "warning", 0, total - len(left), total, left)
    return Verdict(path.name, target, "unknown", 0, total, total, reason=NO_RULE)


def _complaints(operation: Any) -> Iterator[str]:
    """Why the Neural Engine may not take an operation; at most one reason."""
    types = [output.type.tensorType for output in operation.outputs]
    lengths = [n.constant.size for kind in types for n in kind.dimensions]
    if any(kind.dataType == FLOAT32 and kind.rank > 1 for kind in types):
        yield "it computes float16 only; float32 goes to the CPU or the GPU"
    elif any(kind.rank > MOST_RANK for kind in types):
        yield f"tensors of rank {max(kind.rank for kind in types)}; it takes {MOST_RANK} at most"
    elif max(lengths, default=0) > MOST_LENGTH:
        yield f"an axis of {max(lengths)}; it takes {MOST_LENGTH} at most"
    elif operation.type in ELSEWHERE:
        yield "the CPU or the GPU computes it"
