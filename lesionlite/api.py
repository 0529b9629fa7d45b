"""The Python API: the steps of the command line as functions, such as `lesionlite.train(...)`.

The functions import torch and the toolchains when they need them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lesionlite.benchmark.compare.config import CompareConfig
from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.errors import LesionliteError
from lesionlite.export.config import FORMATS_BY_DEFAULT, ExportConfig
from lesionlite.mobile_app_stub.identity import NO_IDENTITY, Identity
from lesionlite.settings import named_path
from lesionlite.train.calibrate.config import AdjustConfig
from lesionlite.train.config import TrainConfig

if TYPE_CHECKING:
    from lesionlite.benchmark.report.record import Report
    from lesionlite.export.check.network import NetworkCheck
    from lesionlite.export.execute.predictor import Predictor
    from lesionlite.export.manifest import Artifact
    from lesionlite.export.verify import Verification
    from lesionlite.metrics import Scores
    from lesionlite.mobile_app_stub.embed import Embedded
    from lesionlite.train.calibrate.adjust import Adjustment
    from lesionlite.train.fit import TrainResult

T = TypeVar("T")


def train(
    data: Path | str, out: Path | str, config: TrainConfig | None = None, resume: bool = False
) -> "tuple[TrainResult, Scores | None]":
    """Train on a data folder into the run folder `out`. Scores are None if it has no test/.

    Raises:
        LesionliteError: bad data or settings, or `out` holds a run already.
    """
    from lesionlite.train.results import train_and_test

    settings = _settings(config, TrainConfig)
    return train_and_test(named_path(data, "data"), named_path(out, "out"), settings, resume)


def adjust(run: Path | str, data: Path | str, config: AdjustConfig | None = None) -> "Adjustment":
    """Choose for how frequent classes a run answers, on `data`/val; this changes its contract.

    See `.chosen` and `.points`.

    Raises:
        LesionliteError: there is no run, there are no images, or no choice has the recall that is
            asked for.
    """
    from lesionlite.train.calibrate.adjust import adjust as choose

    settings = _settings(config, AdjustConfig)
    return choose(named_path(run, "run"), named_path(data, "data"), settings)


def evaluate(path: Path | str, folder: Path | str) -> "Scores":
    """Score a run or an artifact on a folder of class folders, which may lack some classes.

    Raises:
        LesionliteError: nothing to open, no images, or classes that the model lacks.
    """
    from lesionlite.export.execute.evaluate import evaluate as score_folder

    return score_folder(named_path(path, "path"), named_path(folder, "folder"))[0]


def check(
    model: str,
    side: int = 0,
    formats: Sequence[str] = FORMATS_BY_DEFAULT,
    precisions: Sequence[str] = ("fp32",),
) -> "NetworkCheck":
    """Convert a network of timm with random weights to files, and compare them with PyTorch.

    See `.passed` and `.formats`.

    Raises:
        LesionliteError: timm has no such network, it cannot take images of this side or cannot be
            traced, or there is no such format or precision.
    """
    from lesionlite.export.check.network import check_network

    return check_network(model, side, formats, precisions)


def export(
    run: Path | str,
    out: Path | str,
    config: ExportConfig | None = None,
    data: Path | str | None = None,
) -> "list[Artifact]":
    """Convert a run to phone formats in `out`; w8a8, w8, w6 and w4 calibrate on `data`/train.

    Golden vectors are written beside them: drawn images with each file's probabilities.

    Raises:
        LesionliteError: there is no run, or there are no images to calibrate on.
    """
    from lesionlite.export.execute.golden import export_with_golden

    settings = _settings(config, ExportConfig)
    images = None if data is None else named_path(data, "data")
    return export_with_golden(named_path(run, "run"), named_path(out, "out"), settings, images)


def verify(folder: Path | str) -> "Verification":
    """Check a folder of artifacts against its manifest; see `.passed` and `.checks`.

    Raises:
        LesionliteError: there is no folder, or no readable manifest in it.
    """
    from lesionlite.export.verify import verify as check_folder

    return check_folder(named_path(folder, "folder"))


def embed(
    artifacts: Path | str,
    app: str,
    out: Path | str,
    precision: str | None = None,
    identity: Identity = NO_IDENTITY,
) -> "Embedded":
    """Make a phone app (web, android, ios) in `out` that holds artifacts; see `mobile_app_stub/`.

    Args:
        artifacts: folder that `lesionlite export` wrote.
        app: which app.
        out: the app's folder, which does not exist yet.
        precision: of the artifact; by default the first in the app's list that passed.
        identity: id, name and team of the app; Android and iOS need an id.

    Raises:
        LesionliteError: there is nothing to embed, an artifact failed or was changed, the app needs
            an id, or `out` holds an app already.
    """
    from lesionlite.mobile_app_stub.embed import embed as fill_template

    source, folder = named_path(artifacts, "artifacts"), named_path(out, "out")
    return fill_template(source, app, folder, precision, identity=identity)


def benchmark(
    artifacts: Path | str, run: Path | str, data: Path | str, config: BenchmarkConfig | None = None
) -> "Report":
    """Judge and time the artifacts of a run on labelled images.

    Raises:
        LesionliteError: there are no artifacts, no run, or no images.
    """
    from lesionlite.benchmark.run import benchmark as judge

    settings = _settings(config, BenchmarkConfig)
    return judge(
        named_path(artifacts, "artifacts"),
        named_path(run, "run"),
        named_path(data, "data"),
        settings,
    )


def build(
    out: Path | str,
    data: Path | str | None = None,
    run: Path | str | None = None,
    training: TrainConfig | None = None,
    exporting: ExportConfig | None = None,
    benchmarking: BenchmarkConfig | None = None,
) -> dict[str, Any]:
    """Train (or take `run`), export and benchmark; returns the content of `out`/report.json.

    Without `data`, images are drawn. Steps whose inputs have not changed are skipped.

    Raises:
        LesionliteError: from any step.
    """
    from lesionlite.benchmark.build import build as run_steps

    return run_steps(
        named_path(out, "out"),
        None if data is None else named_path(data, "data"),
        None if run is None else named_path(run, "run"),
        training and _settings(training, TrainConfig),
        exporting and _settings(exporting, ExportConfig),
        benchmarking and _settings(benchmarking, BenchmarkConfig),
    )


def compare(
    data: Path | str,
    out: Path | str,
    config: CompareConfig,
    training: TrainConfig | None = None,
) -> dict[str, Any]:
    """Compare networks, or values of one setting; returns the content of `out`/compare.json.

    Args:
        data: Data folder.
        out: Folder of the runs, files and pages. What an earlier call finished in it is kept.
        config: What to compare, such as `CompareConfig(models=("resnet18", "fastvit_t8"))`.
        training: The settings that all trainings share.

    Raises:
        LesionliteError: from any step, or the comparison would be unfair.
    """
    from lesionlite.benchmark.compare.run import compare as run_steps

    return run_steps(
        named_path(data, "data"),
        named_path(out, "out"),
        _settings(config, CompareConfig),
        _settings(training, TrainConfig),
    )


def _settings(given: Any, kind: type[T]) -> T:
    """Check the type of settings; None gives the defaults."""
    if given is None:
        return kind()
    if not isinstance(given, kind):
        raise LesionliteError(f"config is {given!r}; it must be a {kind.__name__}")
    return given


def load(path: Path | str) -> "Predictor":
    """Open a run or any artifact.

    `load(path).predict(images)` takes uint8 [N, H, W, 3] or N file paths and gives float32 [N, C]
    probabilities in the order of `load(path).contract.labels`.

    Raises:
        LesionliteError: there is nothing, it is not one of ours, it is damaged, or this machine
            cannot execute it.
    """
    from lesionlite.export.execute.predictor import load as open_any

    return open_any(path)
