"""The verdict as report.json for programs and report.md for people."""

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.latency import Latency
from benchmark.parity import Parity
from train.console import say
from train.files import write_json, write_text

Document = dict[str, Any]
REPORT_JSON, REPORT_MD = "report.json", "report.md"
COLUMNS = (
    "artifact",
    "status",
    "weighted F1",
    "change",
    "agreement",
    "max |Δp|",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "load ms",
    "MB",
)


@dataclass(frozen=True)
class Row:
    """One artifact's line: its verdict, and what it was judged by.

    `status` is pass, fail or unverified; `reason` says why not pass. `parity` is None if it could
    not be executed, `latency` if it has no native runtime here.
    """

    artifact: str
    format: str
    precision: str
    size_bytes: int
    runtime: str
    status: str
    reason: str
    parity: Parity | None = None
    latency: Latency | None = None
    load_ms: float | None = None
    peak_memory_bytes: int | None = None

    def document(self) -> Document:
        """The row as `report.json` holds it."""
        parity = asdict(self.parity) if self.parity else dict.fromkeys(Parity.__annotations__)
        return {
            **{key: getattr(self, key) for key in ("artifact", "format", "precision", "runtime")},
            **{key: getattr(self, key) for key in ("status", "reason")},
            **parity,
            "latency_ms": asdict(self.latency) if self.latency else None,
            "load_ms": self.load_ms,
            "peak_memory_bytes": self.peak_memory_bytes,
            "size_bytes": self.size_bytes,
        }


@dataclass(frozen=True)
class Report:
    """What a benchmark found."""

    reference: dict[str, Any]
    rows: tuple[Row, ...]
    allowed: tuple[str, ...]
    threads: int
    note: str

    @property
    def passed(self) -> bool:
        """Whether every artifact passes, those aside that may stay unverified."""
        return all(
            row.status == "pass" or (row.status == "unverified" and row.artifact in self.allowed)
            for row in self.rows
        )

    def document(self) -> Document:
        """The whole as a JSON document."""
        return {
            "passed": self.passed,
            "note": self.note,
            "reference": self.reference,
            "rows": [row.document() for row in self.rows],
            "allow_unverified": list(self.allowed),
            "machine": machine(self.threads),
        }

    def write(self, folder: Path) -> None:
        """Write report.json and report.md into `folder`."""
        document = self.document()
        write_json(folder / REPORT_JSON, document)
        write_text(folder / REPORT_MD, markdown(document))


def _cells(row: Document) -> list[str]:
    """A row as words, one per entry of `COLUMNS`; what was not measured stays blank."""

    def word(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    latency = row["latency_ms"] or dict.fromkeys(("p50", "p90", "p99"))
    return [
        row["artifact"],
        row["status"],
        word(row["weighted_f1"], ".4f"),
        word(row["delta_weighted_f1"], "+.4f"),
        word(row["top1_agreement"], ".4f"),
        word(row["max_abs_dp"], ".1e"),
        *(word(latency[name], ".1f") for name in ("p50", "p90", "p99")),
        word(row["load_ms"], ".0f"),
        word(row["size_bytes"] / 1e6, ".1f"),
    ]


def _caption(document: Document) -> str:
    """What was compared with what, on what, in one line."""
    reference, note = document["reference"], document["note"]
    return (
        f"PyTorch (timm, float32): weighted F1 {reference['weighted_f1']:.4f} on "
        f"{reference['images']} images, {reference['latency_ms']['p50']:.1f} ms."
        + (f" {note.capitalize()}." if note else "")
    )


def _sentences(document: Document) -> list[str]:
    """Why rows did not pass, and what the figures do not prove."""
    rows = document["rows"]
    words = [
        f"{row['artifact']}: {row['status']}, {row['reason']}" for row in rows if row["reason"]
    ]
    if any(row["format"] == "coreml" and row["runtime"] and not row["latency_ms"] for row in rows):
        words.append(
            "Core ML files were executed by lesionlite's reference executor: that proves their "
            "graph and weights, not the arithmetic of the Neural Engine, and gives no latency."
        )
    return words


def show(document: Document) -> None:
    """Print the report for a person, in 80 columns; report.md has the rest."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    names = ["artifact", "status", "w. F1", "change", "same", "max |Δp|", "p50 ms", "p90 ms", "MB"]
    for index, name in enumerate(names):
        table.add_column(name, justify="right" if index > 1 else "left", no_wrap=True)
    for row in document["rows"]:
        cells = _cells(row)
        table.add_row(f"{row['format']} {row['precision']}", *cells[1:8], cells[10])
    say(_caption(document))
    say(table)
    for sentence in _sentences(document):
        say(sentence)
    say("Every artifact passes." if document["passed"] else "NOT every artifact passes.")


def markdown(document: Document) -> str:
    """The report for people to keep."""
    here = document["machine"]
    lines = [
        "# Benchmark report",
        "",
        f"**{'passed' if document['passed'] else 'NOT passed'}** — {_caption(document)}",
        "",
        "| " + " | ".join(name.replace("|", "\\|") for name in COLUMNS) + " |",
        "|---|---" + "|---:" * (len(COLUMNS) - 2) + "|",
        *("| " + " | ".join(_cells(row)) + " |" for row in document["rows"]),
        "",
        *(f"- {sentence}" for sentence in _sentences(document)),
        "",
        f"Latency: single stream, batch 1, {here['threads']} threads, each artifact in a process "
        f"of its own, taking turns, on {here['processor']} ({here['cores']} cores, "
        f"{here['system']}). Compare ratios within this table, not with other machines.",
    ]
    return "\n".join(lines) + "\n"


def machine(threads: int) -> Document:
    """The machine that latencies were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "threads": threads,
    }


def _processor() -> str:
    """Its name; Linux tells only in /proc/cpuinfo."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
