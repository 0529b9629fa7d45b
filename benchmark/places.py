"""What a build finds in its folder: files of the user stay, an older run is renamed."""

import os
from datetime import datetime
from pathlib import Path

from lesionlite.benchmark.report.record import refuse_reports
from lesionlite.console import say
from lesionlite.errors import LesionliteError
from lesionlite.export.config import ExportConfig
from lesionlite.export.manifest import CALIBRATION, COMPILED, GOLDEN, MANIFEST, Manifest
from lesionlite.export.quantize.plan import INTEGER_PLAN, PLAN, PLAN_FIGURE
from lesionlite.layout import CONTRACT, LAST, SETTINGS, WEIGHTS, is_run
from lesionlite.outputs import ours_in, refuse_foreign, remove_ours, writing_into
from lesionlite.train import checkpoint
from lesionlite.verdicts import MODEL_CARD

RUN, ARTIFACTS, STEPS = "run", "artifacts", "steps.json"


def refuse_places(out: Path, trains: bool) -> None:
    """Refuse a folder that holds files of the user where a build will write.

    Args:
        out: Folder of the build.
        trains: Whether a run will be written.

    Raises:
        LesionliteError: It names the file or folder in the way.
    """
    for name in (STEPS, MODEL_CARD):
        refuse_foreign(out / name)
    refuse_reports(out)
    for place in [out / ARTIFACTS] + [out / RUN] * trains:
        if not place.is_dir():
            refuse_foreign(place)  # a file, a broken link, or nothing
        elif any(place.iterdir()) and not (ours_in(place) or _is_trained(place)):
            raise LesionliteError(
                f"{place} is a folder of yours: lesionlite wrote nothing that is in it, and a "
                "build would write there; move it away, or choose another --out"
            )


def _is_trained(folder: Path) -> bool:
    """Whether a folder holds a trained network. Old versions of lesionlite listed no files."""
    weights = (folder / WEIGHTS).is_file() or checkpoint.exists(folder)
    return is_run(folder) and weights


def set_aside(run: Path, why: str) -> None:
    """Rename the folder of a trained network, so that another one can be trained in its place.

    Args:
        run: Folder; nothing happens if it holds no network.
        why: Reason, for the user.

    Raises:
        LesionliteError: Another process writes into the folder.
    """
    if not ((run / WEIGHTS).is_file() or checkpoint.exists(run)):
        return
    with writing_into(run):
        aside = _dated(run)
        os.rename(run, aside)
    say(f"train: {why}; it is kept as {aside}, and another is trained")


def _dated(run: Path) -> Path:
    """A free name beside `run` that contains the time of the training."""
    files = [run / name for name in (SETTINGS, WEIGHTS, LAST)]
    seconds = next((file.stat().st_mtime for file in files if file.exists()), run.stat().st_mtime)
    name = f"{run.name}-{datetime.fromtimestamp(seconds):%Y-%m-%d-%H%M}"
    names = [name, *(f"{name}-{number}" for number in range(2, 1000))]
    return next(run.with_name(n) for n in names if not os.path.lexists(run.with_name(n)))


def remove_older_artifacts(folder: Path, config: ExportConfig) -> None:
    """Remove the files of earlier exports and benchmarks that the newest export did not write.

    Args:
        folder: Holds the newest export's manifest.
        config: Of that export.
    """
    manifest = Manifest.read(folder)
    kept = {MANIFEST, CONTRACT, GOLDEN} | {row.artifact for row in manifest.artifacts}
    if manifest.compiled:
        kept.add(COMPILED)
    if config.calibrates(has_data=True):
        kept.add(CALIBRATION)
    if config.plans():
        kept |= {PLAN, PLAN_FIGURE}
    if config.has_integers():
        kept.add(INTEGER_PLAN)
    for name in remove_ours(folder, kept):
        say(f"export: {folder / name} is of an earlier export; removed")
