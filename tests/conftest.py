"""One small network, trained, exported and shared by all tests: conversions are what takes time."""

import json
from pathlib import Path

import pytest

from benchmark.golden import export_with_golden
from export.config import ExportConfig
from export.manifest import MANIFEST
from train.config import TrainConfig
from train.files import sha256_file
from train.results import train_and_test
from train.synthetic import draw_dataset

TINY = TrainConfig(
    model="mobilevitv2_050", weights="none", side=64, epochs=2, batch=16, lr=2e-3, bf16="off"
)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of drawn images."""
    return draw_dataset(tmp_path_factory.mktemp("drawn") / "data", images=200)


@pytest.fixture(scope="session")
def run(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, trained for two short epochs."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_and_test(drawn, folder, TINY)
    return folder


@pytest.fixture(scope="session")
def artifacts(run: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every artifact of the run."""
    folder = tmp_path_factory.mktemp("exported") / "artifacts"
    export_with_golden(run, folder, ExportConfig(calibration=14, tuning_steps=8), drawn)
    return folder


def relist(folder: Path) -> None:
    """Let the manifest list the artifacts as they are now, for faults that hashes would catch."""
    manifest = json.loads((folder / MANIFEST).read_text())
    for row in manifest["artifacts"]:
        row["sha256"] = sha256_file(folder / row["artifact"])
    (folder / MANIFEST).write_text(json.dumps(manifest))
