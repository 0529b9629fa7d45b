"""The names of the files in a data folder and in a run folder."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesionlite.documents import as_record, read_json
from lesionlite.errors import LesionliteError

DATASET, SPLIT_TABLE = "dataset.json", "split.csv"  # beside the splits of a data folder

WEIGHTS, CONTRACT, SETTINGS = "model.safetensors", "contract.json", "train.json"
DATA = "data.json"  # the images that it was trained on
METRICS, CURVES = "metrics.jsonl", "curves.png"
LAST, PREVIOUS = "last.pt", "previous.pt"  # checkpoints of an unfinished run
SCORES, CONFUSION = "test.json", "confusion.png"
TABLES, TABLES_JSON = "tables.md", "tables.json"
OPERATING, OPERATING_FIGURE = "operating.json", "operating.png"
RELIABILITY, LOSS_WEIGHTS = "reliability.png", "weights.png"
EXPLANATIONS = "explanations.json"  # beside the pictures that `explain` draws
OF_TRAINING = (
    *(WEIGHTS, CONTRACT, SETTINGS, DATA, METRICS, CURVES, LAST, PREVIOUS, SCORES, CONFUSION),
)
"""What `train` writes into a run folder."""


@dataclass(frozen=True)
class _Settings:
    """The fields of train.json that are checked. Other fields are allowed."""

    model: str
    finished: bool = True
    beta: float | None = None
    counts: dict[str, int] | None = None
    epochs_run: int | None = None
    best_val_weighted_f1: float | None = None

    def __post_init__(self) -> None:
        if self.beta is not None and not 0 <= self.beta < 1:
            raise LesionliteError(f"beta is {self.beta}; it must be from 0 up to, not including, 1")


def is_run(path: Path) -> bool:
    """Whether `path` is a run folder, perhaps a damaged one."""
    return os.path.lexists(path / SETTINGS)


def read_settings(run: Path) -> dict[str, Any]:
    """The content of a run's train.json; {} if there is none.

    Raises:
        LesionliteError: if it is damaged.
    """
    document = read_json(run / SETTINGS)
    if document is None:
        return {}
    source = str(run / SETTINGS)
    as_record(document, _Settings, source, True, "take it from a copy of the run, or train anew")
    return dict(document)
