"""The files of a comparison: each network in every format, judged by its own run.

Each network has a process of its own. One that crashes there, or that a format refuses, is a
failure of that network; the others go on.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from lesionlite.benchmark.compare.config import CompareConfig
from lesionlite.benchmark.compare.logs import claim_log, log_of, writing_log
from lesionlite.benchmark.compare.trials import Trial, folder_name
from lesionlite.benchmark.networks import check_apart
from lesionlite.console import track
from lesionlite.documents import read_json, read_record
from lesionlite.errors import first_line
from lesionlite.export.config import ExportConfig
from lesionlite.export.forms.table import find_form
from lesionlite.export.toolchains import versions
from lesionlite.files import fingerprint, write_json

CHECKS = "checks.json"

T = TypeVar("T")


@dataclass(frozen=True)
class Made:
    """What came of one value's files.

    Attributes:
        folder: With artifacts/ and report.json.
        parameters: Number of weights; None if no file was made.
        macs: Multiply-adds for one image; None likewise.
        report: The content of report.json; None likewise.
        failed: A sentence for each thing that could not be made.
    """

    folder: Path
    parameters: int | None
    macs: int | None
    report: dict[str, Any] | None
    failed: tuple[str, ...] = ()


def check_networks(trials: list[Trial], config: CompareConfig, out: Path) -> dict[str, list[str]]:
    """Convert each network untrained, before the training takes hours.

    Args:
        trials: The trainings.
        config: The formats.
        out: Folder of the comparison; checks that are done are kept there.

    Returns:
        By value, a sentence for each format that the network cannot have.

    Raises:
        LesionliteError: timm has no such network, it takes no images of this side, or it cannot be
            traced.
    """
    known: dict[str, list[str]] = {}
    if read_json(out / CHECKS) is not None:
        known = read_record(out / CHECKS, dict[str, list[str]], advice="delete it")
    refused = {}
    first = {trial.value: trial.config for trial in trials}
    for value, settings in track(first.items(), "checking the networks", len(first)):
        key = fingerprint([settings.model, settings.side, sorted(config.formats), versions()])
        if key not in known:
            known[key] = _refusals(settings.model, settings.side, config.formats)
            write_json(out / CHECKS, known)
        refused[value] = known[key]
    return refused


def _refusals(model: str, side: int, formats: tuple[str, ...]) -> list[str]:
    """A sentence, "FORMAT: reason", for each format that cannot be made."""
    if find_form(model).proven:
        return []
    rows = check_apart(model, side, [(name, "fp32") for name in formats]).formats
    return [f"{row.format}: {row.sentence}" for row in rows if row.failed]


def make_files(
    data: Path,
    runs: dict[str, Path],
    config: CompareConfig,
    refused: dict[str, list[str]],
    out: Path,
) -> dict[str, Made]:
    """Export and judge one run of each value; what is made already is kept.

    Args:
        data: Data folder.
        runs: Run by value.
        config: Which files, and how to judge them.
        refused: As `check_networks` gives it; these formats are left out.
        out: Folder of the comparison.
    """
    made = {}
    for value, run in track(runs.items(), "making files", len(runs)):
        folder = out / "files" / folder_name(value)
        folder.parent.mkdir(exist_ok=True)
        claim_log(folder)
        without = {sentence.split(":")[0] for sentence in refused[value]}
        formats = tuple(name for name in config.formats if name not in without)
        try:
            exporting = replace(config.exporting(), formats=formats)
            found = _apart(_make, data, run, folder, exporting, config)
            failed = tuple(refused[value])
        except Exception as error:  # toolchains raise all kinds, or end the process
            found = Made(folder, None, None, None)
            failed = (*refused[value], f"{first_line(error)}; {log_of(folder)} has more")
        made[value] = replace(found, failed=failed)
    return made


def _make(
    data: Path, run: Path, folder: Path, exporting: ExportConfig, config: CompareConfig
) -> Made:
    """In its process: export and judge; the output goes to the log file."""
    from lesionlite.benchmark.build import build

    with writing_log(folder):
        benchmarking = config.benchmarking()
        report = build(folder, data, run, None, exporting, benchmarking)
        return Made(folder, *_counts(run), report)


def _counts(run: Path) -> tuple[int, int]:
    """In its process: the number of weights, and of multiply-adds for one image."""
    from lesionlite.export.forms.table import mobile_form
    from lesionlite.export.quantize.wiring import trace
    from lesionlite.export.source import example
    from lesionlite.train.model import load_run

    network, contract = load_run(run)
    wiring = trace(mobile_form(network, contract), example(contract))
    parameters = sum(one.numel() for one in network.parameters())
    return parameters, sum(node.macs for node in wiring.layers.values())


def _apart(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as worker:
        return worker.submit(function, *arguments).result()
