"""From a folder of images (or nothing) to proven artifacts: train, export, benchmark.

A step is skipped if its inputs have not changed since it last finished in the same folder. A run
records its own inputs. For each other step, `steps.json` holds a fingerprint of its inputs,
written when the step ends. What a later step would refuse is refused before training.
"""

from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from lesionlite.benchmark.beforehand import refuse_beforehand, refuse_images
from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.evaluation_set import EvaluationSet
from lesionlite.benchmark.expected import expected_stages
from lesionlite.benchmark.places import (
    ARTIFACTS,
    RUN,
    refuse_places,
    remove_older_artifacts,
    set_aside,
)
from lesionlite.benchmark.report.model_card import model_card, read_facts
from lesionlite.benchmark.run import SCRATCH, benchmark
from lesionlite.benchmark.steps import FinishedSteps, Stages, data_listing
from lesionlite.console import say
from lesionlite.contract import Contract
from lesionlite.documents import read_json
from lesionlite.errors import LesionliteError
from lesionlite.export.check.network import refuse_unfit
from lesionlite.export.config import ExportConfig
from lesionlite.export.execute.golden import export_with_golden
from lesionlite.export.formats import artifact_name, refuse_missing_packages
from lesionlite.export.forms.table import find_form
from lesionlite.export.manifest import MANIFEST
from lesionlite.export.quantize.calibration import calibration_files
from lesionlite.export.toolchains import versions
from lesionlite.export.verify import verify
from lesionlite.files import fingerprint, need_folder, sha256_file, write_text
from lesionlite.layout import CONTRACT, SCORES, SETTINGS, WEIGHTS, is_run, read_settings
from lesionlite.outputs import writing_into
from lesionlite.train import checkpoint
from lesionlite.train.config import TrainConfig
from lesionlite.train.data.images import Pixels, find_bad
from lesionlite.train.data.splits import (
    Dataset,
    Split,
    evaluation_split,
    judging_split,
    read_dataset,
)
from lesionlite.train.memory import (
    Memory,
    difference,
    is_finished_with,
    other_settings,
    read_memory,
    remember,
)
from lesionlite.train.recipes import recipe
from lesionlite.verdicts import MODEL_CARD, REPORT_FORMAT, REPORT_JSON


@dataclass(frozen=True)
class _Build:
    """The inputs, settings and folder of one build."""

    out: Path
    data: Path
    training: TrainConfig | None  # None if a run is given
    exporting: ExportConfig
    benchmarking: BenchmarkConfig
    skip_bad: bool
    listing: str
    steps: FinishedSteps

    def names(self, model: str) -> dict[str, str]:
        """The precision of each artifact that will be written, by file name."""
        return {artifact_name(model, row, p): p for row, p in self.exporting.pairs()}

    def read(self, split: Split, contract: Contract) -> Pixels:
        """Decode the test images, uint8 [N, S, S, 3], into files that the benchmark uses again."""
        return EvaluationSet(self.out / SCRATCH, split, contract).pixels()


def build(
    out: Path,
    data: Path | None = None,
    run: Path | None = None,
    training: TrainConfig | None = None,
    exporting: ExportConfig | None = None,
    benchmarking: BenchmarkConfig | None = None,
    images: int = 2400,
) -> dict[str, Any]:
    """Train (unless a run is given), export and benchmark, all in one folder.

    Args:
        out: Folder to write: run/, artifacts/, the reports (and data/, if images are drawn).
        data: Data folder; None draws images.
        run: Existing run to use instead of training.
        training: How to train; by default the paper's recipe, or the demo's for drawn images.
        exporting: Which files to make.
        benchmarking: Tolerances and protocol.
        images: How many images to draw.

    Returns:
        The contents of report.json.

    Raises:
        LesionliteError: As `fit`, `export` and `benchmark`; or a file of the user is in the place
            of an output, which is checked before training.
    """
    with writing_into(out, DATA=data, RUN=_outside_run(run, out)):
        refuse_places(out, trains=run is None)
        exporting, benchmarking = exporting or ExportConfig(), benchmarking or BenchmarkConfig()
        refuse_missing_packages(dict.fromkeys(row.name for row, _ in exporting.pairs()))
        if data is None:
            data, training = _draw(out / "data", images), training or recipe("demo")
        skip_bad = training is not None and training.skip_bad
        settings = None if run else training or TrainConfig()
        listing, steps = data_listing(need_folder(data)), FinishedSteps(out)
        return _build(
            _Build(out, data, settings, exporting, benchmarking, skip_bad, listing, steps), run
        )


def _outside_run(run: Path | None, out: Path) -> Path | None:
    """The given run, unless it is the one in the folder of the build.

    Raises:
        LesionliteError: It is no run.
    """
    if run is None:
        return None
    if not is_run(need_folder(run, "--run: ")):
        raise LesionliteError(f"{run} is no run: it has no {SETTINGS}")
    return None if run.resolve() == (out / RUN).resolve() else run


def _draw(folder: Path, images: int) -> Path:
    from lesionlite.train.data.synthetic import draw_dataset

    return draw_dataset(folder, images)


def _build(plan: _Build, given: Path | None) -> dict[str, Any]:
    run, training = given or plan.out / RUN, plan.training
    dataset = read_dataset(plan.data) if training else None
    if training and dataset:
        model, contract = training.model, training.contract(dataset.labels)
        memory = _remember(run, plan, dataset)
        untrained = is_finished_with(run, training, memory)
    else:
        model, contract = str(read_settings(run)["model"]), Contract.read(run / CONTRACT)
        untrained = ""
    labels = contract.labels
    names, judged = plan.names(model), judging_split(plan.data, labels)
    refuse_beforehand(plan.benchmarking, names)
    refuse_images(plan.benchmarking, names, judged)
    exported = not untrained and _is_exported(plan, run)
    split = None if exported else _refuse_to_export(plan, run, labels, bool(untrained))
    about = plan.exporting, plan.benchmarking, model, contract, len(judged)
    run_now = {"train": bool(untrained), "export": not exported, "benchmark": True}
    stages = Stages(plan.steps, run_now, dict if exported else partial(expected_stages, *about))
    if training and untrained:
        with stages.stage("train"):
            split = _train(plan, run, training, memory, untrained)
    elif training:
        _keep(plan, run, training)
    if not exported:
        with stages.stage("export"):
            _export(plan, run)
    document = _benchmark(plan, run, split, stages)
    stages.say_what_they_took()
    return document


def _refuse_to_export(
    plan: _Build, run: Path, labels: tuple[str, ...], untrained: bool
) -> Split | None:
    """Refuse now what would fail after minutes; return the evaluation split of a trained run."""
    if plan.exporting.calibrates(has_data=True):
        calibration_files(plan.exporting, labels, plan.data)
    if not untrained:
        return evaluation_split(plan.data, Contract.read(run / CONTRACT).labels, plan.skip_bad)
    training = plan.training
    if training and not find_form(training.model).proven:
        formats = dict.fromkeys(row.name for row, _ in plan.exporting.pairs())
        refuse_unfit(training.model, training.side, list(formats))
    return None


def _remember(run: Path, plan: _Build, dataset: Dataset) -> Memory:
    """The data as a run records it; with `skip_bad`, without images that cannot be decoded.

    Only images that the run has not recorded are decoded, because decoding takes minutes.
    """
    memory, before = remember(dataset, plan.data), read_memory(run)
    if not plan.skip_bad or before is None:
        return memory
    new = [
        plan.data / name
        for now, then in ((memory.train, before.train), (memory.val, before.val))
        for name in now
        if then.get(name) != now[name]
    ]
    bad = find_bad(new)
    splits = dataset.train.without(bad), dataset.val.without(bad)
    return remember(Dataset(*splits, dataset.test, dataset.note), plan.data) if bad else memory


def _train(plan: _Build, run: Path, config: TrainConfig, memory: Memory, why: str) -> Split:
    """Train or resume; return the evaluation split, whose images this has decoded."""
    from lesionlite.train.results import train_and_test

    before = read_memory(run)
    apart = other_settings(read_settings(run), config) or not before or difference(before, memory)
    if apart:
        set_aside(run, why)
    result, _ = train_and_test(plan.data, run, config, checkpoint.exists(run), plan.read)
    plan.steps.done("test", _test_key(plan, run))
    dataset = result.dataset
    return dataset.val if dataset.test is None else dataset.test


def _keep(plan: _Build, run: Path, config: TrainConfig) -> None:
    """Keep a finished run; score it again if the test split has changed."""
    from lesionlite.train.results import score_test_split

    key = _test_key(plan, run)
    say(f"train: inputs unchanged, kept {run}")
    if not (plan.steps.is_done("test", key) and (run / SCORES).exists()):
        score_test_split(plan.data, run, config.skip_bad, plan.read)
        plan.steps.done("test", key)


def _test_key(plan: _Build, run: Path) -> str:
    return fingerprint([plan.listing, sha256_file(run / WEIGHTS), sha256_file(run / CONTRACT)])


def _export_key(plan: _Build, run: Path) -> str:
    inputs = [sha256_file(run / name) for name in (WEIGHTS, CONTRACT)]
    calibration = plan.listing if plan.exporting.calibrates(has_data=True) else ""
    return fingerprint([inputs, calibration, asdict(replace(plan.exporting, jobs=0)), versions()])


def _is_exported(plan: _Build, run: Path) -> bool:
    """Whether the export is finished and its files are unchanged."""
    artifacts = plan.out / ARTIFACTS
    if not (artifacts / MANIFEST).exists():
        return False
    if not plan.steps.is_done("export", _export_key(plan, run)):
        return False
    for check in verify(artifacts).checks:
        if check.status not in ("ok", "unlisted"):
            say(f"export: {check.line()}")
            return False
    say(f"export: inputs unchanged, kept {artifacts}")
    return True


def _export(plan: _Build, run: Path) -> None:
    artifacts = plan.out / ARTIFACTS
    export_with_golden(run, artifacts, plan.exporting, plan.data)
    remove_older_artifacts(artifacts, plan.exporting)
    plan.steps.done("export", _export_key(plan, run))


def _benchmark(plan: _Build, run: Path, split: Split | None, stages: Stages) -> dict[str, Any]:
    artifacts, report = plan.out / ARTIFACTS, plan.out / REPORT_JSON
    inputs = [sha256_file(artifacts / MANIFEST), sha256_file(run / WEIGHTS), plan.listing]
    settings = [plan.skip_bad, asdict(plan.benchmarking), versions(), REPORT_FORMAT]
    key = fingerprint([inputs, *settings])
    done = report.is_file() and plan.steps.is_done("report", sha256_file(report))
    if done and plan.steps.is_done("benchmark", key):
        say(f"benchmark: inputs unchanged, kept {report}")
    else:
        given = artifacts, run, plan.data, plan.benchmarking, plan.skip_bad
        with stages.stage("benchmark"):
            benchmark(*given, plan.out / SCRATCH, split).write(plan.out)
        plan.steps.done("report", sha256_file(report))
        plan.steps.done("benchmark", key)
    document: dict[str, Any] = read_json(report)
    _write_card(plan, run, document)
    return document


def _write_card(plan: _Build, run: Path, report: dict[str, Any]) -> None:
    """Write the model card, unless somebody has edited it."""
    file, text = plan.out / MODEL_CARD, model_card(read_facts(run, plan.data, report))
    ours = {plan.steps.record.get(name) for name in ("card", "next card")}
    if file.is_file() and sha256_file(file) not in ours:
        say(f"{file} was edited, and is kept; delete it to get a new one")
        return
    key = sha256(text.encode()).hexdigest()
    plan.steps.done("next card", key)  # a build may be killed before it records the card
    write_text(file, text)
    plan.steps.done("card", key)
