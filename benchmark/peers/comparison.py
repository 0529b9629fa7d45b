"""The comparison, row by row: one of our files with one default."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lesionlite.benchmark.config import Takes
from lesionlite.benchmark.latency import Turns
from lesionlite.benchmark.peers.defaults import DEFAULTS
from lesionlite.benchmark.peers.limit import Limit
from lesionlite.benchmark.peers.rounds import File, Round
from lesionlite.export.precision import PRECISIONS

Document = dict[str, Any]
NOTHING = Turns((), ())


@dataclass(frozen=True)
class PeerRow:
    """One of our files and one default, with one number of threads.

    Attributes:
        format: As in `FORMATS`.
        precision: As in `PRECISIONS`.
        threads: None if nothing could be timed.
        default: Tool that made the other file; "" if no default has this precision.
        ours_ms: Median of the bursts' medians; None if it could not be timed.
        default_ms: The same of the default.
        ratio: Median, over the rounds, of our burst's median divided by the default's. It may
            differ from ours_ms / default_ms, because drift affects both bursts of a round.
        spread: First and third quartile of the same ratios.
        size_bytes: Of ours.
        default_size_bytes: Of the default.
        limit_ratio: ours_ms divided by the physical limit of its arithmetic.
        against_own_fp32: ours_ms divided by that of our fp32 file of this format.
        against_default_onnx: ours_ms divided by that of the default float32 ONNX file.
        reason: Why a figure is blank.
        note: What a reader must know about the figures.
        work: Counted work of a Core ML file, of ours and of the default.
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
    """All measurements.

    Attributes:
        ours: By format and precision.
        defaults: By their names in `DEFAULTS`.
        rounds: One per number of threads, ascending.
        multiply_adds: Of the network, as we write it.
        takes: What the defaults take, as in `PeersConfig`.
        machine: Where they were measured.
        note: Of the contract.
    """

    ours: Mapping[tuple[str, str], File]
    defaults: Mapping[str, File]
    rounds: tuple[Round, ...]
    multiply_adds: int
    takes: Takes
    machine: Document
    note: str

    def rows(self) -> Iterator[PeerRow]:
        """All rows. Timed pairs have one per number of threads, counted pairs have one."""
        timed = [pair for pair in self._pairs() if not self._is_counted(*pair)]
        for round_ in self.rounds:
            yield from (self._row(key, name, round_) for key, name in timed)
        yield from (
            self._row(key, name, None) for key, name in self._pairs() if (key, name) not in timed
        )

    def _pairs(self) -> list[tuple[tuple[str, str], str]]:
        """Pairs: a format and precision, and the name of a default or "" if there is none."""
        theirs = [((DEFAULTS[n].format, DEFAULTS[n].precision), n) for n in self.defaults]
        paired = {key for key, _ in theirs}
        formats = list(dict.fromkeys(name for name, _ in [*self.ours, *paired]))
        pairs = [*theirs, *((key, "") for key in self.ours if key not in paired)]
        precisions = list(PRECISIONS)
        return sorted(pairs, key=lambda p: (formats.index(p[0][0]), precisions.index(p[0][1])))

    def _is_counted(self, key: tuple[str, str], name: str) -> bool:
        return any(f and f.work for f in (self.ours.get(key), self.defaults.get(name)))

    def _row(self, key: tuple[str, str], name: str, round_: Round | None) -> PeerRow:
        ours, default = self.ours.get(key), self.defaults.get(name)
        mine, other = self._turns(ours, round_), self._turns(default, round_)
        ms = _median(mine)
        quantized = PRECISIONS[key[1]].calibrated
        limit = round_.limits["int8" if quantized else "fp32"].milliseconds if round_ else None
        own = _median(self._turns(self.ours.get((key[0], "fp32")), round_))
        plain = _median(self._turns(self.defaults.get("onnx-fp32-torch.onnx"), round_))
        counted, quartiles = self._is_counted(key, name), _quartiles(mine, other)
        return PeerRow(
            format=key[0],
            precision=key[1],
            threads=round_.threads if round_ else None,
            default=DEFAULTS[name].tool if name else "",
            ours_ms=ms,
            default_ms=_median(other),
            ratio=quartiles[1] if quartiles else None,
            spread=(quartiles[0], quartiles[2]) if quartiles else None,
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
        """The contents of peers.json: the limit (of two threads, else of the most), the rows."""
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
            "takes": self.takes,
            "rows": [asdict(row) for row in self.rows()],
        }


def _limits(limits: Mapping[str, Limit]) -> Document:
    return {name: asdict(limit) for name, limit in limits.items()}


def _median(turns: Turns) -> float | None:
    return float(np.median(turns.bursts)) if turns.bursts else None


def _over(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None


def _quartiles(mine: Turns, other: Turns) -> list[float] | None:
    """Quartiles, over the rounds, of the ratio of the bursts' medians."""
    ratios = [
        a / b for a, b in zip(mine.bursts, other.bursts, strict=False)
    ]  # one may have stopped early
    quartiles: list[float] | None = np.percentile(ratios, [25, 50, 75]).tolist() if ratios else None
    return quartiles


def _work(file: File | None) -> Mapping[str, int] | None:
    return asdict(file.work) if file and file.work else None


def _reason(ours: File | None, default: File | None, mine: Turns, other: Turns) -> str:
    """Why a figure is blank; our reason first."""
    words = [
        "ours is not among the artifacts" if ours is None else ours.reason or mine.error,
        "no default has this precision" if default is None else default.reason or other.error,
    ]
    return "; ".join(word for word in words if word)
