"""Read and write `metrics.jsonl`: the losses and scores of each epoch."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesionlite.documents import as_record, parse_json, to_json
from lesionlite.errors import LesionliteError
from lesionlite.files import write_text
from lesionlite.layout import METRICS
from lesionlite.metrics import Metric, in_words
from lesionlite.usage import in_minutes


@dataclass(frozen=True)
class _EpochRow:
    epoch: int
    train_loss: float
    val_loss: float | None  # None if validation has only classes without a training image
    weighted_f1: float
    accuracy: float


def write_history(run: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write all rows, one JSON document per line."""
    write_text(run / METRICS, "".join(to_json(row, indent=None) + "\n" for row in rows))


def epoch_line(row: Mapping[str, Any], select: Metric, best: bool, left: float) -> str:
    """A row for people, with the score that chooses the epoch.

    Args:
        row: of an epoch.
        select: name of that score.
        best: no epoch before it has a better one.
        left: seconds that the epochs after it need, if none ends the training early.
    """
    scores = dict.fromkeys(("weighted_f1", select))
    shown = "".join(f"  {in_words(name)} {row[name]:.4f}" for name in scores)
    losses = f"loss {row['train_loss']:.3f}  val loss {row['val_loss']:.3f}"
    rest = "  best" * best + f"  at most {in_minutes(left)} left" * (left > 0)
    return f"epoch {row['epoch']:3d}  {losses}{shown}{rest}"


def read_history(run: Path) -> list[dict[str, Any]]:
    """Read the rows of `metrics.jsonl`; [] if there is no such file.

    Raises:
        LesionliteError: if a line is damaged; it names the line.
    """
    file = run / METRICS
    if not os.path.lexists(file):
        return []
    if not file.is_file():
        raise LesionliteError(f"{file} is no regular file; the epochs' metrics are expected there")
    rows = []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        source = f"{file}, line {number}"
        row = parse_json(line, source)
        advice = "delete the file, or take it from a copy"
        as_record(row, _EpochRow, source, extra=True, advice=advice)
        rows.append(dict(row))
    return rows
