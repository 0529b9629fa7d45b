"""The tables of `networks.py`: one row for each network, one column for each format."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lesionlite.export.check.attempt import RIGHT, Converted
from lesionlite.export.check.network import NetworkCheck
from lesionlite.export.formats import FORMATS
from lesionlite.export.precision import PRECISIONS
from lesionlite.files import write_json, write_text
from lesionlite.tables import Table

NAME = "networks"
FIELDS = (
    *("format", "precision", "outcome", "max_dp", "simulated", "kept", "images", "size_bytes"),
    *("seconds", "sentence"),
)


def write_network_tables(out: Path, found: Sequence[NetworkCheck]) -> str:
    """Write networks.json, networks.csv and networks.md, and return the text of the last."""
    write_json(out / f"{NAME}.json", {"networks": [asdict(one) for one in found]})
    write_text(out / f"{NAME}.csv", _long(found).csv())
    text = markdown(found)
    write_text(out / f"{NAME}.md", text)
    return text


def _long(found: Sequence[NetworkCheck]) -> Table:
    """A row for each file, with all digits."""
    rows = []
    for one in found:
        for row in one.formats:
            parts = row.partitions
            split = (
                (len(parts.operators), sum(parts.operators), len(parts.kernels)) if parts else ()
            )
            values = [getattr(row, name) for name in FIELDS]
            rows.append((one.model, one.side, *values, *(split or [None] * 3)))
    columns = ("model", "side", *FIELDS, "partitions", "inside", "outside")
    return Table(NAME, "Networks", columns, tuple(rows))


def markdown(found: Sequence[NetworkCheck]) -> str:
    """A table for each precision, one of XNNPACK's partitions, and a list of faults."""
    tables = [_networks(found)]
    for precision in PRECISIONS.values():
        tables += _by_format(found, precision.name)
    tables += _partitions(found)
    faults = [
        f"- {one.model}, {FORMATS[row.format].title} {row.precision}: {row.outcome}. {row.sentence}"
        for one in found
        for row in one.formats
        if row.outcome != RIGHT
    ]
    texts = [table.markdown() for table in tables]
    return "\n".join(texts + (["**Not right**\n", *faults, ""] if faults else []))


def _networks(found: Sequence[NetworkCheck]) -> Table:
    rows = [
        (
            one.model,
            one.side,
            f"{one.parameters / 1e6:.1f}",
            f"{one.macs / 1e6:.0f}",
            len(one.layers),
            f"{sum(row.outcome == RIGHT for row in one.formats)} of {len(one.formats)}",
        )
        for one in found
    ]
    columns = ("network", "side", "M weights", "M multiply-adds", "layers for w8a8", "files right")
    return Table(NAME, "Networks", columns, tuple(rows))


def _by_format(found: Sequence[NetworkCheck], precision: str) -> list[Table]:
    """The table of a precision, or none if no file has it."""
    files = {
        one.model: {row.format: row for row in one.formats if row.precision == precision}
        for one in found
    }
    names = [name for name in FORMATS if any(name in row for row in files.values())]
    if not names:
        return []
    rows = [(model, *(cell(row.get(name)) for name in names)) for model, row in files.items()]
    calibrated = PRECISIONS[precision].calibrated
    what = "max |Δp| to the plan's simulation" if calibrated else "max |Δp| to PyTorch"
    title = f"{precision}: {what}, and answers kept of PyTorch's"
    return [Table(precision, title, ("network", *(FORMATS[n].title for n in names)), tuple(rows))]


def cell(row: Converted | None) -> str:
    """What one file is, in a few letters."""
    if row is None:
        return ""
    measured = row.max_dp if row.simulated is None else row.simulated
    said = "" if row.outcome == RIGHT else f"**{row.outcome}** "
    return said + ("" if measured is None else f"{measured:.1e}, {row.kept}/{row.images}")


def _partitions(found: Sequence[NetworkCheck]) -> list[Table]:
    """What XNNPACK takes of the ExecuTorch files, or no table if there are none."""
    rows = [
        (
            one.model,
            row.precision,
            len(row.partitions.operators),
            sum(row.partitions.operators),
            max(row.partitions.operators, default=0),
            len(row.partitions.kernels),
        )
        for one in found
        for row in one.formats
        if row.partitions
    ]
    columns = ("network", "precision", "partitions", "operators inside", "largest", "outside")
    title = "ExecuTorch: what XNNPACK takes, and kernels outside of it"
    return [Table("partitions", title, columns, tuple(rows))] if rows else []
