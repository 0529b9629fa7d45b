"""Compare: train, make files, time them together, and write the page."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from lesionlite.benchmark.compare.artifacts import Made, check_networks, make_files
from lesionlite.benchmark.compare.config import CompareConfig
from lesionlite.benchmark.compare.page import document_of, refuse_pages, write_pages
from lesionlite.benchmark.compare.result import Entry, files_of, over_seeds, with_fronts
from lesionlite.benchmark.compare.timing import time_files
from lesionlite.benchmark.compare.trials import (
    VALIDATION,
    Trial,
    measures_of,
    plan_trials,
    train_trials,
)
from lesionlite.benchmark.latency import Latency
from lesionlite.errors import LesionliteError
from lesionlite.export.formats import refuse_missing_packages
from lesionlite.files import need_folder
from lesionlite.outputs import writing_into
from lesionlite.train.config import TrainConfig
from lesionlite.train.networks import expected


def compare(data: Path, out: Path, config: CompareConfig, training: TrainConfig) -> dict[str, Any]:
    """Train each value the same way, export, judge and time it, and write one page.

    What an earlier call with the same settings finished is kept.

    Args:
        data: Data folder with train/ and val/; test/ is scored, too, but chooses nothing.
        out: Folder of the runs, files and pages.
        config: What to compare.
        training: The settings that all trainings share.

    Returns:
        The contents of compare.json.

    Raises:
        LesionliteError: As `train`; or the comparison would be unfair, a network cannot be
            exported at all, or `out` holds files of the user or runs of other settings.
    """
    trials = plan_trials(config, training, out)
    need_folder(data)
    if training.epochs == 0:
        raise LesionliteError("--epochs is 0; untrained networks have no scores to compare")
    if config.files:
        refuse_missing_packages(dict.fromkeys(row.name for row, _ in config.exporting().pairs()))
    with writing_into(out, DATA=data):
        refuse_pages(out)
        refused = check_networks(trials, config, out) if config.files else {}
        dataset = train_trials(data, trials, config.jobs)
        measures = {trial.folder: measures_of(trial.folder) for trial in trials}
        best = _best(trials, measures)
        made: dict[str, Made] = {}
        times: dict[str, dict[str, Latency]] = {}
        if config.files:
            made = make_files(data, best, config, refused, out)
            times = time_files(made, config, out).by_file
        entries = [
            _entry(value, trials, measures, best, made.get(value), times.get(value, {}))
            for value in config.setting()[1]
        ]
        document = document_of(with_fronts(entries), dataset, config)
        write_pages(document, out)
    return document


def _best(trials: list[Trial], measures: dict[Path, dict[str, float]]) -> dict[str, Path]:
    """For each value, the run with the best score on validation."""
    found: dict[str, Path] = {}
    for trial in trials:
        score = measures[trial.folder][VALIDATION]
        if trial.value not in found or score > measures[found[trial.value]][VALIDATION]:
            found[trial.value] = trial.folder
    return found


def _entry(
    value: str,
    trials: list[Trial],
    measures: dict[Path, dict[str, float]],
    best: dict[str, Path],
    made: Made | None,
    times: dict[str, Latency],
) -> Entry:
    own = [trial for trial in trials if trial.value == value]
    config = own[0].config
    entry = Entry(
        value=value,
        model=config.model,
        side=config.side or expected(config.model).side,
        seeds=len(own),
        scores=over_seeds([measures[trial.folder] for trial in own]),
        run=best[value].name,
    )
    if made is None:
        return entry
    files = files_of(made.report, times)
    counts = made.parameters, made.macs
    return replace(entry, parameters=counts[0], macs=counts[1], files=files, failed=made.failed)
