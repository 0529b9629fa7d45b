"""What a run folder holds."""

from pathlib import Path

WEIGHTS, CONTRACT, SETTINGS = "model.safetensors", "contract.json", "train.json"
METRICS, CURVES, LAST = "metrics.jsonl", "curves.png", "last.pt"
SCORES, CONFUSION = "test.json", "confusion.png"


def is_run(path: Path) -> bool:
    """Whether `path` is a run folder."""
    return (path / SETTINGS).is_file()
