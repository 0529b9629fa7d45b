"""From a folder of images (or nothing) to proven artifacts: train, export, benchmark.

Each step is skipped when its inputs have not changed since it last finished under the same
folder: `steps.json` keeps a fingerprint of each step's inputs, written once the step is done.
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.config import BenchmarkConfig
from benchmark.golden import export_with_golden
from benchmark.report import REPORT_JSON
from benchmark.run import SCRATCH, benchmark
from export.config import ExportConfig
from export.manifest import MANIFEST
from export.toolchains import versions
from train import checkpoint
from train.config import TrainConfig
from train.console import say
from train.documents import read_json
from train.errors import LesionliteError
from train.files import fingerprint, sha256_file, write_json
from train.layout import CONTRACT, SETTINGS, WEIGHTS, is_run
from train.outputs import writing_into
from train.recipes import recipe

STEPS = "steps.json"


class Steps:
    """Which steps under one folder are done, and with which inputs."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / STEPS
        self.record: dict[str, str] = read_json(self.file) or {}

    def is_done(self, name: str, key: str, product: Path) -> bool:
        """Whether the step finished with these inputs and its product is still there."""
        if product.exists() and self.record.get(name) == key:
            say(f"{name}: inputs unchanged, kept {product}")
            return True
        return False

    def done(self, name: str, key: str) -> None:
        """Remember that the step finished."""
        self.record[name] = key
        write_json(self.file, self.record)


def build(
    out: Path,
    data: Path | None = None,
    run: Path | None = None,
    training: TrainConfig | None = None,
    exporting: ExportConfig | None = None,
    benchmarking: BenchmarkConfig | None = None,
    images: int = 2800,
) -> dict[str, Any]:
    """Train (unless a run is given), export and benchmark, all under one folder.

    Args:
        out: folder to write: run/, artifacts/, report.html and its kin (and data/, if drawn).
        data: data folder; None draws images.
        run: an existing run to use instead of training.
        training: how to train; by default the paper's way, or the demo's on drawn images.
        exporting: which files to make.
        benchmarking: tolerances and protocol.
        images: how many to draw.

    Returns:
        What report.json holds.

    Raises:
        LesionliteError: see `fit`, `export` and `benchmark`.
    """
    with writing_into(out, DATA=data):
        return _build(out, data, run, training, exporting, benchmarking, images)


def _build(
    out: Path,
    data: Path | None,
    run: Path | None,
    training: TrainConfig | None,
    exporting: ExportConfig | None,
    benchmarking: BenchmarkConfig | None,
    images: int,
) -> dict[str, Any]:
    if run is not None and not is_run(run):
        raise LesionliteError(f"{run} is no run: it has no {SETTINGS}")
    if data is None:
        from train.synthetic import draw_dataset

        training = training or recipe("demo")
        data = draw_dataset(out / "data", images)
    elif not data.is_dir():
        raise LesionliteError(f"there is no folder {data}")
    steps = Steps(out)
    listing = data_listing(data)
    run = run or _train(out, data, listing, training or TrainConfig(), steps)
    _export(out, run, data, listing, exporting or ExportConfig(), steps)
    skip_bad = training is not None and training.skip_bad
    config = benchmarking or BenchmarkConfig()
    return _benchmark(out, run, data, listing, config, skip_bad, steps)


def data_listing(data: Path) -> str:
    """A fingerprint of the files below `data`: names, sizes, times of change."""
    files: Sequence[Path] = sorted(file for file in data.rglob("*") if file.is_file())
    rows = [
        (file.relative_to(data).as_posix(), file.stat().st_size, file.stat().st_mtime_ns)
        for file in files
    ]
    return fingerprint([str(data.resolve()), rows])


def _train(out: Path, data: Path, listing: str, config: TrainConfig, steps: Steps) -> Path:
    from train.results import score_test_split, train_and_test

    run, key = out / "run", fingerprint([listing, asdict(config), versions()])
    if steps.is_done("train", key, run / SETTINGS):
        return run
    same = steps.record.get("training") == key
    if same and (read_json(run / SETTINGS) or {}).get("finished"):
        score_test_split(data, run, config)  # stopped between training and testing
    else:
        resume = same and checkpoint.exists(run)
        if run.exists() and not resume:
            say(f"train: {run} is made anew")
            shutil.rmtree(run)
        steps.done("training", key)
        train_and_test(data, run, config, resume)
    steps.done("train", key)
    return run


def _export(
    out: Path, run: Path, data: Path, listing: str, config: ExportConfig, steps: Steps
) -> None:
    inputs = [sha256_file(run / name) for name in (WEIGHTS, CONTRACT)]
    calibration = listing if config.calibrates() else ""
    key = fingerprint([inputs, calibration, asdict(config), versions()])
    artifacts = out / "artifacts"
    if steps.is_done("export", key, artifacts / MANIFEST):
        return
    if artifacts.exists():
        shutil.rmtree(artifacts)
    export_with_golden(run, artifacts, config, data)
    steps.done("export", key)


def _benchmark(
    out: Path,
    run: Path,
    data: Path,
    listing: str,
    config: BenchmarkConfig,
    skip_bad: bool,
    steps: Steps,
) -> dict[str, Any]:
    artifacts = out / "artifacts"
    manifest = sha256_file(artifacts / MANIFEST)
    inputs = [manifest, sha256_file(run / WEIGHTS), listing, skip_bad]
    key = fingerprint([inputs, asdict(config), versions()])
    if not steps.is_done("benchmark", key, out / REPORT_JSON):
        report = benchmark(artifacts, run, data, config, skip_bad, out / SCRATCH)
        report.write(out)
        steps.done("benchmark", key)
    document: dict[str, Any] = read_json(out / REPORT_JSON)
    return document
