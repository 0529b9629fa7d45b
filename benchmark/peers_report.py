"""The comparison with the defaults as peers.json for programs and peers.md for people."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.defaults import DEFAULTS
from benchmark.latency import Turns
from benchmark.limit import Limit
from benchmark.rounds import File, Round
from export.precision import PRECISIONS
from train.console import say
from train.files import write_json, write_text

Document = dict[str, Any]
PEERS_JSON, PEERS_MD = "peers.json", "peers.md"
NOTHING = Turns((), ())


@dataclass(frozen=True)
class Row:
    """One of our files beside one default, with one number of threads.

    Attributes:
        format: as in `FORMATS`.
        precision: as in `PRECISIONS`.
        threads: None where nothing could be timed, so that threads do not matter.
        default: the tool that made the other file; "" where no default has this precision.
        ours_ms: median of the bursts' medians; None where it could not be timed.
        default_ms: the same of the default.
        ratio: ours_ms / default_ms.
        spread: first and third quartile of the ratio over the bursts, round by round.
        size_bytes: of ours.
        default_size_bytes: of the default.
        limit_ratio: ours_ms over the physical limit of its arithmetic.
        against_own_fp32: ours_ms over that of our fp32 file of this format.
        against_default_onnx: ours_ms over that of the default ONNX file in float32.
        reason: why something is blank.
        note: what must be known of the figures.
        work: what Core ML has to do, ours and the default's, counted.
    """

    format: str
    precision: str
    threads: int | None
    default: str
    ours_ms: float | None
    default_ms: float | None
    ratio: float | None
    spread: tuple[float, float] | None
    size_bytes: int | None
    default_size_bytes: int | None
    limit_ratio: float | None
    against_own_fp32: float | None
    against_default_onnx: float | None
    reason: str
    note: str
    work: Mapping[str, Mapping[str, int] | None] | None


@dataclass(frozen=True)
class Comparison:
    """Everything that was measured.

    Attributes:
        ours: by format and precision.
        defaults: by their names in `DEFAULTS`.
        rounds: one per number of threads, ascending.
        multiply_adds: of the network, as we write it.
        machine: that it was measured on.
        note: of the contract.
    """

    ours: Mapping[tuple[str, str], File]
    defaults: Mapping[str, File]
    rounds: tuple[Round, ...]
    multiply_adds: int
    machine: Document
    note: str

    def rows(self) -> Iterator[Row]:
        """All rows: what is counted once, what is timed once per number of threads."""
        timed = [pair for pair in self._pairs() if not self._is_counted(*pair)]
        for round_ in self.rounds:
            yield from (self._row(key, name, round_) for key, name in timed)
        yield from (
            self._row(key, name, None) for key, name in self._pairs() if (key, name) not in timed
        )

    def _pairs(self) -> list[tuple[tuple[str, str], str]]:
        """Format and precision, and a default's name or ""; every file is in one at least."""
        theirs = [((DEFAULTS[n].format, DEFAULTS[n].precision), n) for n in self.defaults]
        paired = {key for key, _ in theirs}
        formats = list(dict.fromkeys(name for name, _ in [*self.ours, *paired]))
        pairs = [*theirs, *((key, "") for key in self.ours if key not in paired)]
        precisions = list(PRECISIONS)
        return sorted(pairs, key=lambda p: (formats.index(p[0][0]), precisions.index(p[0][1])))

    def _is_counted(self, key: tuple[str, str], name: str) -> bool:
        return any(f and f.work for f in (self.ours.get(key), self.defaults.get(name)))

    def _row(self, key: tuple[str, str], name: str, round_: Round | None) -> Row:
        ours, default = self.ours.get(key), self.defaults.get(name)
        mine, other = self._turns(ours, round_), self._turns(default, round_)
        ms = _median(mine)
        quantized = PRECISIONS[key[1]].calibrated
        limit = round_.limits["int8" if quantized else "fp32"].milliseconds if round_ else None
        own = _median(self._turns(self.ours.get((key[0], "fp32")), round_))
        plain = _median(self._turns(self.defaults.get("onnx-fp32-torch.onnx"), round_))
        counted = self._is_counted(key, name)
        return Row(
            format=key[0],
            precision=key[1],
            threads=round_.threads if round_ else None,
            default=DEFAULTS[name].tool if name else "",
            ours_ms=ms,
            default_ms=_median(other),
            ratio=_over(ms, _median(other)),
            spread=_spread(mine, other),
            size_bytes=ours.size_bytes if ours else None,
            default_size_bytes=default.size_bytes if default else None,
            limit_ratio=_over(ms, limit),
            against_own_fp32=_over(ms, own) if key[1] != "fp32" else None,
            against_default_onnx=_over(ms, plain) if key == ("tflite", "fp32") else None,
            reason=_reason(ours, default, mine, other),
            note=DEFAULTS[name].note if name and default and default.size_bytes else "",
            work={"ours": _work(ours), "default": _work(default)} if counted else None,
        )

    def _turns(self, file: File | None, round_: Round | None) -> Turns:
        return round_.turns.get(file.path, NOTHING) if file and round_ else NOTHING

    def document(self) -> Document:
        """The whole as a JSON document: the limit (of two threads, else of the most), the rows."""
        by_threads = {round_.threads: round_.limits for round_ in self.rounds}
        shown = 2 if 2 in by_threads else max(by_threads)
        return {
            "limit": {
                "fp32_ms": by_threads[shown]["fp32"].milliseconds,
                "int8_ms": by_threads[shown]["int8"].milliseconds,
                "threads": shown,
                "multiply_adds": self.multiply_adds,
                "by_threads": {str(t): _limits(limits) for t, limits in by_threads.items()},
                "machine": self.machine,
            },
            "rows": [asdict(row) for row in self.rows()],
        }

    def write(self, folder: Path) -> None:
        """Write peers.json and peers.md into `folder`."""
        document = self.document()
        write_json(folder / PEERS_JSON, document)
        write_text(folder / PEERS_MD, markdown(document))


def _limits(limits: Mapping[str, Limit]) -> Document:
    return {name: asdict(limit) for name, limit in limits.items()}


def _median(turns: Turns) -> float | None:
    return float(np.median(turns.bursts)) if turns.bursts else None


def _over(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None


def _spread(mine: Turns, other: Turns) -> tuple[float, float] | None:
    ratios = [a / b for a, b in zip(mine.bursts, other.bursts, strict=False)]  # one may have died
    if not ratios:
        return None
    low, high = np.percentile(ratios, [25, 75])
    return float(low), float(high)


def _work(file: File | None) -> Mapping[str, int] | None:
    return asdict(file.work) if file and file.work else None


def _reason(ours: File | None, default: File | None, mine: Turns, other: Turns) -> str:
    """Why a figure is blank, ours first."""
    words = [
        "ours is not among the artifacts" if ours is None else ours.reason or mine.error,
        "no default has this precision" if default is None else default.reason or other.error,
    ]
    return "; ".join(word for word in words if word)


def _word(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _cells(row: Document) -> list[str]:
    """What the terminal's table shows of a row."""
    sizes = [row["size_bytes"], row["default_size_bytes"]]
    spread = row["spread"]
    return [
        f"{row['format']} {row['precision']}",
        row["default"],
        _word(row["ours_ms"], ".2f"),
        _word(row["default_ms"], ".2f"),
        _word(row["ratio"], ".2f"),
        f"{spread[0]:.2f}-{spread[1]:.2f}" if spread else "",
        _word(row["limit_ratio"], ".1f"),
        "/".join("-" if size is None else f"{size / 1e6:.1f}" for size in sizes),
    ]


COLUMNS = ("ours", "default", "ours ms", "def. ms", "ratio", "quartiles", "/limit", "MB")


def show(document: Document) -> None:
    """Print the comparison for a person, in 80 columns."""
    for threads in document["limit"]["by_threads"]:
        rows = [row for row in document["rows"] if str(row["threads"]) == threads]
        say(_table([_cells(row) for row in rows], COLUMNS, f"{threads} thread(s)"))
    if work := _work_rows(document):
        say(_table(work, WORK_COLUMNS, "Core ML, counted (ours/default)"))
    for sentence in sentences(document):
        say(sentence)


def _table(rows: list[list[str]], columns: tuple[str, ...], title: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), title=title, title_justify="left")
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index > 1 else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


WORK_COLUMNS = ("file", "operations", "M mult.-adds", "MB moved", "max rank", "not 4-D", "moves")


def _work_rows(document: Document) -> list[list[str]]:
    """Core ML's counts, ours over the default's."""
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
    """The limits, the other ratios, why figures are blank, and what must be known of them."""
    words = []
    for threads, limits in document["limit"]["by_threads"].items():
        parts = [
            f"{name} {limit['milliseconds']:.2f} ms ({limit['rate'] / 1e9:.0f} G/s, "
            f"{limit['kernel']})"
            for name, limit in limits.items()
        ]
        count = document["limit"]["multiply_adds"] / 1e6
        words.append(f"Limit, {threads} thread(s), {count:.0f} M multiply-adds: {', '.join(parts)}")
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
    """The comparison for people to keep."""
    here = document["limit"]["machine"]

    def table(columns: tuple[str, ...], rows: list[list[str]]) -> list[str]:
        head = ["| " + " | ".join(columns) + " |", "|---|---" + "|---:" * (len(columns) - 2) + "|"]
        return ["", *head, *("| " + " | ".join(row) + " |" for row in rows), ""]

    timed = [[str(r["threads"]), *_cells(r)] for r in document["rows"] if r["threads"]]
    work = _work_rows(document)
    lines = [
        "# Ours beside the toolchains' defaults",
        *table(("threads", *COLUMNS), timed),
        *(table(WORK_COLUMNS, work) if work else []),
        *(f"- {sentence}" for sentence in dict.fromkeys(sentences(document))),
        "",
        "Single stream, batch 1, each file in a process of its own, taking turns in bursts, on "
        f"{here['processor']} ({here['cores']} cores, {here['system']}). Times are medians of the "
        "bursts' medians; quartiles are of the ratio, burst by burst; /limit is ours over the "
        "network's multiply-adds at the fastest matrix-multiply rate of the same run. Ours take "
        "pixels and give probabilities; the defaults take normalized floats and give logits.",
    ]
    return "\n".join(lines) + "\n"
