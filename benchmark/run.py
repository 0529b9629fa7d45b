"""Judge and time each artifact of a folder, each in a process of its own."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from lesionlite.benchmark.against import compare_reports, read_report
from lesionlite.benchmark.beforehand import refuse_beforehand, refuse_images
from lesionlite.benchmark.candidate import Candidate
from lesionlite.benchmark.config import BenchmarkConfig, RegressionConfig
from lesionlite.benchmark.elsewhere.android import PhoneRow, time_on_phone
from lesionlite.benchmark.elsewhere.check import Task
from lesionlite.benchmark.elsewhere.run import run_elsewhere
from lesionlite.benchmark.evaluation_set import EvaluationSet
from lesionlite.benchmark.examine import Examiner, Judged
from lesionlite.benchmark.instructions.count import COUNTED, count
from lesionlite.benchmark.parity import not_finite
from lesionlite.benchmark.report.record import Report, Result, reference_document, refuse_reports
from lesionlite.benchmark.resize import Drift, resized, resizers
from lesionlite.benchmark.targets.matrix import judge_all
from lesionlite.benchmark.timing import time_results
from lesionlite.console import track
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.formats import artifact_folder
from lesionlite.export.manifest import Artifact, read_manifest
from lesionlite.layout import CONTRACT, is_run
from lesionlite.metrics import weighted_f1
from lesionlite.outputs import writing_into
from lesionlite.train.data.splits import Split, evaluation_split

SCRATCH = ".lesionlite-benchmark"  # in the report's folder, until the report is written


def benchmark_into(
    out: Path,
    artifacts: Path,
    run: Path,
    data: Path,
    config: BenchmarkConfig,
    regression: RegressionConfig | None = None,
    skip_bad: bool = False,
) -> Report:
    """Run `benchmark`, compare with an older report if there is one, and write the report.

    Args:
        out: Folder of the report. It may be the folder of the artifacts, but may not overlap with
            `run` or `data`.
        artifacts: As in `benchmark`.
        run: As in `benchmark`.
        data: As in `benchmark`.
        config: As in `benchmark`.
        regression: An older report to compare with, and tolerances.
        skip_bad: As in `benchmark`.

    Raises:
        LesionliteError: As `benchmark`; or there is no older report, a file of the user is in the
            report's place, or another process writes into `out`. These are checked first.
    """
    regression = regression or RegressionConfig()
    old = read_report(regression.against) if regression.against else None
    inputs = {"RUN": run, "DATA": data, "ARTIFACTS": artifacts}
    if out.resolve() == artifact_folder(artifacts).resolve():
        del inputs["ARTIFACTS"]
    with writing_into(out, **inputs):
        refuse_reports(out)
        report = benchmark(artifacts, run, data, config, skip_bad, out / SCRATCH)
        if old is not None:
            found = compare_reports(report.document(), old, regression)
            report = replace(report, against=found)
        report.write(out)
    return report


def benchmark(
    artifacts: Path,
    run: Path,
    data: Path,
    config: BenchmarkConfig,
    skip_bad: bool = False,
    scratch: Path | None = None,
    split: Split | None = None,
) -> Report:
    """Judge artifacts by the run they were made from, and time them; the report is not written.

    Args:
        artifacts: Folder that `export` wrote, or one artifact in it.
        run: The reference, executed as timm's own model in float32.
        data: Folder of class folders, or a data folder whose test/ (else val/) is used.
        config: Tolerances and protocol.
        skip_bad: Leave out images that cannot be decoded, instead of stopping.
        scratch: Folder for images and answers, deleted at the end. After an interruption, the next
            call with the same folder continues.
        split: The images of `data`, if the caller has checked that they decode.

    Raises:
        LesionliteError: No artifacts, no run, no images, or a reference whose answers are not
            finite; or as `lesionlite.benchmark.beforehand`.
    """
    rows = read_manifest(artifacts)
    if not is_run(run):
        raise LesionliteError(f"{run} is no run: it has no train.json")
    phone = refuse_beforehand(config, (row.artifact for row in rows))
    contract = Contract.read(run / CONTRACT)
    split = split or evaluation_split(data, contract.labels, skip_bad)
    refuse_images(config, {row.artifact: row.precision for row in rows}, split)
    folder = artifact_folder(artifacts)
    with tempfile.TemporaryDirectory() as fallback:
        evaluation = EvaluationSet(scratch or Path(fallback), split, contract)
        report = _benchmark(rows, folder, run, split, contract, evaluation, config)
        evaluation.delete()
    taken = judge_all(artifacts, config.targets).document() if config.targets else None
    return replace(report, phone=_on_phone(report, folder, phone, config), targets=taken)


def _on_phone(
    report: Report, folder: Path, phone: str, config: BenchmarkConfig
) -> tuple[PhoneRow, ...]:
    """Time the TFLite files that could be executed here on the phone, if --android is set."""
    if config.android is None:
        return ()
    executed = [folder / row.artifact for row in report.rows if row.parity]
    files = [path for path in executed if path.suffix == ".tflite"]
    return tuple(time_on_phone(config.android, phone, files, config.threads, *config.protocol()))


def _benchmark(
    rows: Sequence[Artifact],
    folder: Path,
    run: Path,
    split: Split,
    contract: Contract,
    evaluation: EvaluationSet,
    config: BenchmarkConfig,
) -> Report:
    with ExitStack() as stack:
        reference = stack.enter_context(Candidate(run, config.threads))
        reference.open()
        answers = evaluation.ask(reference, "PyTorch")
        if wrong := not_finite(answers, evaluation.names):
            raise LesionliteError(f"{run} cannot be the reference: {wrong}")
        examiner = Examiner(folder, contract, evaluation, answers, config, stack)
        judged = examiner.examine_all(rows)
        drifts = _drifts(judged, evaluation, split, contract) if config.resize_drift else ()
        tasks = [
            Task(folder / one.result.artifact, one.result.precision, one.answers)
            for one in judged
            if one.answers is not None
        ]
        elsewhere = run_elsewhere(tasks, evaluation, split, config)
        timed = {
            one.result.artifact: one.candidate
            for one in judged
            if one.candidate and one.candidate.native
        }
        results = [one.result for one in judged]
        latency, results = time_results(results, reference, timed, evaluation.images, config)
        if config.instructions:
            results = _with_instructions(results, timed, evaluation.images)
        return Report(
            reference=reference_document(answers, evaluation.truth, evaluation.labels, latency),
            rows=tuple(results),
            labels=contract.labels,
            config=config,
            split=split.name,
            note=contract.note,
            disclaimer=contract.disclaimer,
            unsettled=tuple(name for name, c in timed.items() if not c.settled),
            drifts=drifts,
            elsewhere=elsewhere,
        )


def _with_instructions(
    results: Sequence[Result], timed: Mapping[str, Candidate], images: Path
) -> list[Result]:
    """Count the instructions of the files that were timed, if their runtime allows it."""
    counted = [row for row in results if row.artifact in timed and row.format in COUNTED]
    found = {
        row.artifact: count(timed[row.artifact].path, timed[row.artifact].opener, images)
        for row in track(counted, "counting instructions", len(counted))
    }
    return [replace(row, instructions=found.get(row.artifact)) for row in results]


def _drifts(
    judged: Sequence[Judged], evaluation: EvaluationSet, split: Split, contract: Contract
) -> tuple[Drift, ...]:
    """How each artifact's answers change if the images are resized in other ways."""
    drifts = []
    classes = len(evaluation.labels)
    for name in resizers(contract):
        inputs = resized(split.files, contract, name, evaluation.pixels())
        file = evaluation.write(name, inputs, name)
        for one in judged:
            if one.candidate is None or one.answers is None:
                continue
            answers = evaluation.ask(one.candidate, one.result.artifact, file).argmax(1)
            before = one.answers.argmax(1)
            change = weighted_f1(evaluation.truth, answers, classes)
            change -= weighted_f1(evaluation.truth, before, classes)
            agreement = float((answers == before).mean())
            drifts.append(Drift(one.result.artifact, name, change, agreement))
    return tuple(drifts)
