"""Find out which layers of a file take the time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lesionlite.benchmark.candidate import Candidate, CandidateFailed
from lesionlite.benchmark.layers.cost import Cost, Sum, by_layer, by_operation, time_of
from lesionlite.benchmark.peers.foreign import noise
from lesionlite.benchmark.peers.limit import KERNEL, KERNELS, limit
from lesionlite.console import say, track
from lesionlite.errors import LesionliteError
from lesionlite.export.format import named_function
from lesionlite.export.formats import format_of, open_runner, read_contract
from lesionlite.export.manifest import refuse_changed
from lesionlite.tables import terminal_table

TIMED_BY = {  # format: the function that times its operations
    "tflite": "lesionlite.benchmark.layers.tflite:costs",
    "onnx": "lesionlite.benchmark.layers.onnx:costs",
}
BURST = 0.5  # seconds


@dataclass(frozen=True)
class Layers:
    """Where the time of a file goes.

    Attributes:
        artifact: the file.
        runtime: what executed it, with its version.
        threads: that the runtime could use.
        milliseconds: of the whole file.
        operations: what each takes, in their order.
        rates: multiply-adds per second of the fastest product of matrices here, by arithmetic.
    """

    artifact: Path
    runtime: str
    threads: int
    milliseconds: float
    operations: Sequence[Cost]
    rates: dict[str, float]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "artifact": str(self.artifact),
            "runtime": self.runtime,
            "threads": self.threads,
            "whole_ms": self.milliseconds,
            "fastest_product_multiply_adds_per_second": self.rates,
            "by_operation": [one.document() for one in by_operation(self.operations)],
            "by_layer": [one.document() for one in by_layer(self.operations)],
            "operations": [vars(cost) for cost in self.operations],
        }


def layers(artifact: Path, threads: int) -> Layers:
    """Time the operations of a file.

    Args:
        artifact: a TFLite or ONNX file.
        threads: that its runtime may use.

    Raises:
        LesionliteError: it is of another format, not as its manifest lists it, or damaged.
    """
    format = format_of(artifact)
    if format.name not in TIMED_BY:
        known = ", ".join(TIMED_BY)
        raise LesionliteError(
            f"{artifact} is a file of {format.title}, whose runtime does not tell what its "
            f"operations take; give a file of: {known}"
        )
    refuse_changed(artifact)
    runner, side = open_runner(artifact, threads), read_contract(artifact).side
    image = noise((side, side, 3), np.uint8)
    whole = time_of(lambda: runner.classify(image))
    operations = named_function(TIMED_BY[format.name])(artifact, threads)
    return Layers(artifact, runner.runtime, threads, whole, operations, _rates(threads))


def _rates(threads: int) -> dict[str, float]:
    """Multiply-adds per second of the fastest product for each arithmetic that works here."""
    measured: dict[str, list[tuple[str, int, list[float]]]] = {}
    for name in track(KERNELS, "products of matrices", len(KERNELS)):
        with Candidate(Path(name), threads, KERNEL) as candidate:
            try:
                candidate.open()
            except CandidateFailed:
                continue
            times = candidate.burst(Path(), BURST)
        row = candidate.runtime, candidate.multiply_adds, times
        measured.setdefault(KERNELS[name].arithmetic, []).append(row)
    # Of no products, the limit has only a rate.
    return {arithmetic: limit(0, rows).rate for arithmetic, rows in measured.items()}


def show(found: Layers, most: int) -> None:
    """Print the kinds of operations, and the layers that take longest."""
    total = sum(cost.milliseconds for cost in found.operations)

    def cells(one: Sum) -> list[str]:
        rate = "" if one.rate is None else f"{one.rate / 1e9:.1f}"
        return [f"{one.milliseconds:.3f}", f"{one.milliseconds / total:.1%}", rate]

    numbers = ["ms", "share", "G multiply-adds/s"]
    kinds = by_operation(found.operations)
    say(
        terminal_table(
            ["operation", "how many", *numbers],
            [[one.name, f"{one.operations}", *cells(one)] for one in kinds],
        )
    )
    slowest = by_layer(found.operations)[:most]
    say(
        terminal_table(
            ["layer", "operations", *numbers],
            [[one.name or "(of no layer)", f"{one.operations}", *cells(one)] for one in slowest],
        )
    )
    fastest = ", ".join(f"{rate / 1e9:.0f} G in {name}" for name, rate in found.rates.items())
    say(f"fastest product of matrices here, multiply-adds per second: {fastest}")
    say(
        f"{found.runtime}, {found.threads} thread{'s' * (found.threads > 1)}: "
        f"{len(found.operations)} operations take {total:.2f} ms, the whole file "
        f"{found.milliseconds:.2f} ms"
    )
