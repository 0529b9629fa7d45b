"""What `lesionlite check` prints."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lesionlite.export.check.attempt import Converted
from lesionlite.export.check.network import NetworkCheck
from lesionlite.export.execute.partitions import Partitions
from lesionlite.tables import terminal_table

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("format", "precision", "outcome", "max |Δp|", "to plan", "kept", "MB", "seconds")


def check_words(found: NetworkCheck) -> "Iterator[str | Table]":
    """Lines about a network, and the table of its files."""
    share = sum(found.layers.values()) / max(1, found.macs)
    yield (
        f"{found.model} at {found.side} x {found.side} pixels: {found.parameters / 1e6:.2f} M "
        f"parameters, {found.macs / 1e6:.0f} M multiply-adds"
    )
    yield f"w8a8 may take {len(found.layers)} layers ({share:.1%} of the multiply-adds)"
    if found.floats:
        kinds = ", ".join(f"{count} {kind}" for kind, count in found.floats.items())
        yield f"w8a8 leaves in float: {kinds}"
    yield terminal_table(COLUMNS, [cells(row) for row in found.formats], words=3)
    for row in found.formats:
        if row.sentence:
            yield f"{row.format} {row.precision}: {row.sentence}"
        if row.partitions:
            yield f"{row.format} {row.precision}: {partition_words(row.partitions)}"


def cells(row: Converted) -> tuple[str, ...]:
    """A row of the table, under `COLUMNS`."""
    return (
        *(row.format, row.precision, row.outcome),
        *("" if value is None else f"{value:.1e}" for value in (row.max_dp, row.simulated)),
        "" if row.kept is None else f"{row.kept} of {row.images}",
        "" if row.size_bytes is None else f"{row.size_bytes / 1e6:.1f}",
        f"{row.seconds:.0f}",
    )


def partition_words(found: Partitions) -> str:
    """How many operators XNNPACK takes, in how many pieces, and what is left."""
    pieces = len(found.operators)
    kinds = {name: found.kernels.count(name) for name in found.kernels}
    left = ", ".join(f"{count} {name}" for name, count in kinds.items()) or "none"
    return (
        f"XNNPACK takes {sum(found.operators)} operators in {pieces} "
        f"partition{'' if pieces == 1 else 's'}; outside: {left}"
    )
