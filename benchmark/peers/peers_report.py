"""The comparison with the defaults, as peers.json for programs and peers.md for people."""

from pathlib import Path
from typing import Any

from lesionlite.benchmark.peers.comparison import Document
from lesionlite.console import say
from lesionlite.files import write_json, write_text
from lesionlite.outputs import writing_into
from lesionlite.tables import markdown_lines, number, terminal_table
from lesionlite.verdicts import PEERS_JSON, PEERS_MD

TAKES = {
    "floats": "Ours take pixels and give probabilities; the defaults take normalized floats and "
    "give logits.",
    "pixels": "Ours and the defaults take pixels and give probabilities.",
}
BUSY = 1.3  # above this `Limit.unrest`, another program used the processor


def write(document: Document, folder: Path) -> None:
    """Write peers.json and peers.md into `folder`."""
    with writing_into(folder):
        write_json(folder / PEERS_JSON, document)
        write_text(folder / PEERS_MD, markdown(document))


def _cells(row: Document) -> list[str]:
    """The cells of a row in the table."""
    sizes = [row["size_bytes"], row["default_size_bytes"]]
    spread = row["spread"]
    return [
        f"{row['format']} {row['precision']}",
        row["default"],
        number(row["ours_ms"], ".2f"),
        number(row["default_ms"], ".2f"),
        number(row["ratio"], ".2f"),
        f"{spread[0]:.2f}-{spread[1]:.2f}" if spread else "",
        number(row["limit_ratio"], ".1f"),
        "/".join("-" if size is None else f"{size / 1e6:.1f}" for size in sizes),
    ]


COLUMNS = ("ours", "default", "ours ms", "def. ms", "ratio", "quartiles", "/limit", "MB")


def show(document: Document) -> None:
    """Print the comparison in 80 columns."""
    for threads in document["limit"]["by_threads"]:
        rows = [row for row in document["rows"] if str(row["threads"]) == threads]
        cells = [_cells(row) for row in rows]
        say(terminal_table(COLUMNS, cells, words=2, title=f"{threads} thread(s)"))
    if work := _work_rows(document):
        title = "Core ML, counted (ours/default)"
        say(terminal_table(WORK_COLUMNS, work, words=2, title=title))
    for sentence in sentences(document):
        say(sentence)


WORK_COLUMNS = ("file", "operations", "M mult.-adds", "MB moved", "max rank", "not 4-D", "moves")


def _work_rows(document: Document) -> list[list[str]]:
    """Rows of the counted work of Core ML files: ours/default."""
    table = []
    for row in document["rows"]:
        if row["work"] is None:
            continue
        both = [row["work"]["ours"] or {}, row["work"]["default"] or {}]

        def pair(key: str, unit: float, form: str, both: list[Any] = both) -> str:
            return "/".join(format(work[key] / unit, form) if work else "-" for work in both)

        table.append(
            [
                f"{row['format']} {row['precision']}",
                pair("operations", 1, ".0f"),
                pair("multiply_adds", 1e6, ".0f"),
                pair("bytes_moved", 1e6, ".0f"),
                *(pair(key, 1, ".0f") for key in ("max_rank", "off_plane", "moves")),
            ]
        )
    return table


def sentences(document: Document) -> list[str]:
    """Sentences: the limits, other ratios, why figures are blank, and notes."""
    words = []
    for threads, limits in document["limit"]["by_threads"].items():
        parts = [
            f"{name} {limit['milliseconds']:.2f} ms ({limit['rate'] / 1e9:.0f} G/s, "
            f"{limit['kernel']})"
            for name, limit in limits.items()
        ]
        count = document["limit"]["multiply_adds"] / 1e6
        words.append(f"Limit, {threads} thread(s), {count:.0f} M multiply-adds: {', '.join(parts)}")
        unrest = max(limit["unrest"] for limit in limits.values())
        if unrest > BUSY:
            words.append(
                f"The machine was busy, {threads} thread(s): one and the same product took "
                f"{unrest:.1f} times as long in the median as at its best. Measure again."
            )
    for row in document["rows"]:
        name = f"{row['format']} {row['precision']}, {row['threads']} thread(s)"
        if row["precision"] == "w8a8" and row["against_own_fp32"]:
            words.append(f"{name}: {row['against_own_fp32']:.2f} of our fp32")
        if row["against_default_onnx"]:
            words.append(f"{name}: {row['against_default_onnx']:.2f} of the default ONNX file")
    for row in document["rows"]:
        name = " ".join(filter(None, (row["format"], row["precision"], row["default"])))
        words += [f"{name}: {text}" for text in (row["reason"], row["note"]) if text]
    if any(row["work"] for row in document["rows"]):
        words.append(
            "Core ML files cannot be timed off Apple's systems: operations, multiply-adds and "
            "bytes (read and written by each operation) are counted in the saved program; 'not "
            "4-D' are values that are no [B, C, H, W], 'moves' transposes and reshapes."
        )
    return list(dict.fromkeys(words))


def markdown(document: Document) -> str:
    """The text of peers.md."""
    here = document["limit"]["machine"]
    timed = [[str(r["threads"]), *_cells(r)] for r in document["rows"] if r["threads"]]
    work = _work_rows(document)
    lines = [
        "# Ours beside the toolchains' defaults",
        *("", *markdown_lines(("threads", *COLUMNS), timed, words=2), ""),
        *(("", *markdown_lines(WORK_COLUMNS, work, words=2), "") if work else ()),
        *(f"- {sentence}" for sentence in dict.fromkeys(sentences(document))),
        "",
        "Single stream, batch 1, each file in a process of its own, taking turns in bursts, on "
        f"{here['processor']} ({here['cores']} cores, {here['system']}). Times are medians of the "
        "bursts' medians; ratio and quartiles are over the rounds of bursts; /limit is ours over "
        "the network's multiply-adds (w8a8: as if all were in 8 bits) at the fastest "
        f"matrix-multiply rate of the same run. {TAKES[document['takes']]}",
    ]
    return "\n".join(lines) + "\n"
