"""What a run folder holds."""

from pathlib import Path

WEIGHTS, CONTRACT, SETTINGS = "model.safetensors", "contract.json", "train.json"
METRICS, CURVES = "metrics.jsonl", "curves.png"
LAST, PREVIOUS = "last.pt", "previous.pt"  # checkpoints of a run that is under way
SCORES, CONFUSION = "test.json", "confusion.png"
TABLES, TABLES_JSON = "tables.md", "tables.json"
RELIABILITY, LOSS_WEIGHTS = "reliability.png", "weights.png"


def is_run(path: Path) -> bool:
    """Whether `path` is a run folder."""
    return (path / SETTINGS).is_file()
