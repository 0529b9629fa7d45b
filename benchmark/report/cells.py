"""A report's rows as flat records and as cells of tables."""

from collections.abc import Iterable
from typing import Any

from lesionlite.benchmark.latency import Latency

Document = dict[str, Any]
Columns = dict[str, str]
"""What a table shows: its columns, and for each the field of a flat row, ":" and a format."""


def flat(row: Document) -> Document:
    """A row of `report.json` without nesting; None for what was not measured."""
    flat = {**row, **(row["latency_ms"] or dict.fromkeys(Latency.__annotations__))}
    flat["short"] = f"{row['format']} {row['precision']}"
    flat["megabytes"] = row["size_bytes"] / 1e6
    interval = row["delta_interval"] or {"low": None, "high": None}
    flat["delta_low"], flat["delta_high"] = interval["low"], interval["high"]
    flat |= {f"dp_{q}": (row["abs_dp"] or {}).get(q) for q in ("mean", "p50", "p90", "p99")}
    counted = row["instructions"] or {"per_query": None, "functions": {}}
    flat["instructions"] = counted["per_query"]
    shares = list(counted["functions"].items())[:3]
    flat["most_in"] = ", ".join(f"{name.split(' (')[0][:60]} {one:.0%}" for name, one in shares)
    flat["interval"] = flat["worst_recall"] = None
    if row["delta_recall"]:
        flat["interval"] = f"{interval['low']:+.4f} to {interval['high']:+.4f}"
        label = min(row["delta_recall"], key=row["delta_recall"].get)
        worst = row["delta_recall"][label]
        flat["worst_recall"] = f"{worst:+.3f} {label}" if worst else "0"
    return flat


def counted(rows: Iterable[Document]) -> list[Document]:
    """The flat rows of which instructions were counted."""
    return [row for row in rows if row["instructions"] is not None]


def cells(flat: Document, columns: Columns) -> list[str]:
    """One cell per column; blank for what was not measured."""
    found = []
    for column in columns.values():
        name, _, form = column.partition(":")
        found.append("" if flat[name] is None else format(flat[name], form))
    return found
