"""Prove and time every artifact of a folder, each in a process of its own."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.arm import ArmRow, Task, run_on_arm
from benchmark.arm_root import find_root
from benchmark.candidate import Candidate, CandidateFailed
from benchmark.config import BenchmarkConfig
from benchmark.latency import Latency, measure
from benchmark.parity import compare, judge
from benchmark.report import Report, Row
from benchmark.resize import Drift, resized, resizers
from export.calibration import choose
from export.formats import FORMATS
from export.manifest import Artifact, read_manifest
from export.precision import PRECISIONS
from train.console import progress, say
from train.contract import Contract
from train.data import Split, drop_bad, load_inputs, read_split
from train.errors import LesionliteError, unknown_choice
from train.layout import CONTRACT, is_run
from train.metrics import calibration_error, reliability, score, weighted_f1


@dataclass(frozen=True)
class _Exam:
    """What every candidate is asked: the images (a .npy file), the truth, PyTorch's answers."""

    images: Path
    names: tuple[str, ...]
    truth: NDArray[np.int64]
    labels: tuple[str, ...]
    reference: NDArray[np.float32]


@dataclass(frozen=True)
class _Judged:
    """A row without latency; the candidate kept open for it and its answers, unless it failed."""

    row: Row
    candidate: Candidate | None = None
    answers: NDArray[np.float32] | None = None


def benchmark(
    artifacts: Path, run: Path, data: Path, config: BenchmarkConfig, skip_bad: bool = False
) -> Report:
    """Judge artifacts against the run they were made from.

    Args:
        artifacts: folder that `export` wrote, or one artifact in it.
        run: the reference, executed as timm's own model in float32.
        data: folder of class folders, or a data folder whose test/ (else val/) is used.
        config: tolerances and protocol.
        skip_bad: leave out images that cannot be decoded instead of stopping.

    Returns:
        The report; it is not written yet.

    Raises:
        LesionliteError: no artifacts, no run, no images, or contracts that differ.
    """
    rows = read_manifest(artifacts)
    for name in config.allow_unverified:
        if name not in {row.artifact for row in rows}:
            raise unknown_choice("artifact", name, (row.artifact for row in rows))
    if not is_run(run):
        raise LesionliteError(f"{run} is no run: it has no train.json")
    for core in config.arm:
        find_root(core)  # said before the long work
    contract = Contract.read(run / CONTRACT)
    folder = artifact_folder(artifacts)
    split = evaluation_split(data, contract, skip_bad)
    _refuse_idle_gates(config, split)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        images = Path(scratch) / "images.npy"
        np.save(images, load_inputs(split.files, contract, "reading test images"))
        truth = np.asarray(split.targets)
        reference = stack.enter_context(Candidate(run, config.threads))
        reference.open()
        answers = _ask(reference, images, len(split), "PyTorch")
        names = tuple(f"{file.parent.name}/{file.name}" for file in split.files)
        exam = _Exam(images, names, truth, contract.labels, answers)
        judged = [_examine(row, folder, contract, exam, config, stack) for row in rows]
        drifts = _drifts(judged, exam, split, contract) if config.resize_drift else ()
        arms = _on_arm(judged, exam, split, folder, config)
        able = {one.row.artifact: one.candidate for one in judged if one.candidate}
        timed = {name: candidate for name, candidate in able.items() if candidate.native}
        first, latencies = _time(config.threads, reference, timed, images, config)
        sweep = {
            threads: _time_anew(threads, run, folder, list(timed), images, config)
            for threads in config.sweep
        }
        return Report(
            reference=_reference(answers, exam, first),
            rows=tuple(_with_times(one.row, timed, latencies, sweep) for one in judged),
            labels=contract.labels,
            config=config,
            note=contract.note,
            restless=tuple(name for name, c in timed.items() if not c.settled),
            drifts=drifts,
            arms=arms,
        )


def _with_times(
    row: Row,
    timed: Mapping[str, Candidate],
    latencies: Mapping[str, Latency],
    sweep: Mapping[int, Mapping[str, Latency]],
) -> Row:
    """The row with what its native runtime took, if it has one here."""
    if row.artifact not in timed:
        return row
    return replace(
        row,
        latency=latencies[row.artifact],
        peak_memory_bytes=timed[row.artifact].peak_memory_bytes,
        sweep={threads: found[row.artifact].p50 for threads, found in sweep.items()},
    )


def _drifts(
    judged: Sequence[_Judged], exam: _Exam, split: Split, contract: Contract
) -> tuple[Drift, ...]:
    """What every artifact says of the same images resized otherwise."""
    found = []
    classes = len(exam.labels)
    for name in resizers(contract):
        file = exam.images.with_name("resized.npy")
        np.save(file, resized(split.files, contract, name))
        for one in judged:
            if one.candidate is None or one.answers is None:
                continue
            answers = _ask(one.candidate, file, len(split), one.row.artifact).argmax(1)
            before = one.answers.argmax(1)
            change = weighted_f1(exam.truth, answers, classes)
            change -= weighted_f1(exam.truth, before, classes)
            agreement = float((answers == before).mean())
            found.append(Drift(one.row.artifact, name, change, agreement))
    return tuple(found)


def _on_arm(
    judged: Sequence[_Judged], exam: _Exam, split: Split, folder: Path, config: BenchmarkConfig
) -> tuple[ArmRow, ...]:
    """Every artifact that ran here on the emulated cores asked for, over a sample of the images."""
    if not config.arm:
        return ()
    chosen = set(choose(split, config.arm_images, seed=0))
    sample = [index for index, file in enumerate(split.files) if file in chosen]
    tasks = [
        Task(folder / one.row.artifact, one.row.precision, one.answers[sample])
        for one in judged
        if one.answers is not None
    ]
    images, truth = np.load(exam.images, mmap_mode="r")[sample], exam.truth[sample]
    rows = [run_on_arm(core, tasks, images, truth, len(exam.labels)) for core in config.arm]
    return tuple(row for core in rows for row in core)


def _time(
    threads: int,
    reference: Candidate,
    timed: Mapping[str, Candidate],
    images: Path,
    config: BenchmarkConfig,
) -> tuple[Latency, dict[str, Latency]]:
    """Warm up, then time in turns: the reference's latency, and each artifact's by name."""
    candidates = [reference, *timed.values()]
    with progress() as bar:
        task = bar.add_task("warming up", total=len(candidates), note="")
        for candidate in candidates:
            bar.update(task, note=candidate.path.name)
            candidate.warm_up(images)
            bar.advance(task)
        bar.update(task, note="")
    name = f"latency, {threads} thread{'s' if threads > 1 else ''}"
    first, *others = measure(candidates, images, *config.protocol(), name)
    return first, dict(zip(timed, others, strict=True))


def _time_anew(
    threads: int, run: Path, folder: Path, names: list[str], images: Path, config: BenchmarkConfig
) -> dict[str, Latency]:
    """The same in processes of their own with another number of threads."""
    with ExitStack() as stack:
        paths = {"": run, **{name: folder / name for name in names}}
        opened = {name: stack.enter_context(Candidate(p, threads)) for name, p in paths.items()}
        for candidate in opened.values():
            candidate.open()
        reference = opened.pop("")
        return _time(threads, reference, opened, images, config)[1]


def artifact_folder(path: Path) -> Path:
    """The folder of artifacts that `path` is, or that the artifact `path` lies in."""
    return path.parent if any(path.suffix == row.suffix for row in FORMATS.values()) else path


def evaluation_split(data: Path, contract: Contract, skip_bad: bool = False) -> Split:
    """The labelled images of a folder of class folders, or of a data folder's test/ (else val/).

    Raises:
        LesionliteError: if there are none, or some do not decode and `skip_bad` is off.
    """
    if (data / "train").is_dir():
        names = [name for name in ("test", "val") if (data / name).is_dir()]
        data = data / names[0] if names else data
    (split,), bad = drop_bad([read_split(data, contract.labels)], skip_bad)
    for file in bad:
        say(f"left out, cannot be decoded: {file}")
    return split


def _refuse_idle_gates(config: BenchmarkConfig, split: Split) -> None:
    """A gate on the recall of a class that is not there would always pass."""
    for label in config.recall_gates():
        if label not in split.labels:
            raise unknown_choice("class", label, split.labels)
        if not split.counts()[split.labels.index(label)]:
            raise LesionliteError(f"--min-recall {label}: no test image is of that class")


def _ask(candidate: Candidate, images: Path, total: int, name: str) -> NDArray[np.float32]:
    """Predict under a progress bar; CandidateFailed says why it cannot be done."""
    with progress() as bar:
        task = bar.add_task(name, total=total, note="")
        return candidate.predict(images, lambda done: bar.update(task, completed=done))


def _examine(
    row: Artifact,
    folder: Path,
    contract: Contract,
    exam: _Exam,
    config: BenchmarkConfig,
    stack: ExitStack,
) -> _Judged:
    """Execute and judge one artifact."""
    blank = Row(row.artifact, row.format, row.precision, row.size_bytes, "", "unverified", "")
    candidate = stack.enter_context(Candidate(folder / row.artifact, config.threads))
    try:
        candidate.open()
        if candidate.contract != contract.to_json():
            raise CandidateFailed("its contract is not that of the run; export it again")
        answers = _ask(candidate, exam.images, len(exam.truth), row.artifact)
        parity = compare(answers, exam.reference, exam.truth, exam.labels, exam.names)
    except (LesionliteError, ValueError) as error:
        return _Judged(replace(blank, reason=f"it could not be executed: {error}"))
    good, reason = judge(parity, PRECISIONS[row.precision], config)
    result = replace(
        blank,
        runtime=candidate.runtime,
        status="pass" if good else "fail",
        reason=reason,
        parity=parity,
        load_ms=candidate.load_ms if candidate.native else None,
    )
    return _Judged(result, candidate, answers)


def _reference(answers: NDArray[np.float32], exam: _Exam, latency: Latency) -> dict[str, Any]:
    scores = score(answers, exam.truth, exam.labels)
    bins = reliability(answers, exam.truth)
    return {
        "weighted_f1": scores.weighted_f1,
        "macro_f1": scores.macro_f1,
        "accuracy": scores.accuracy,
        "images": scores.images,
        "recall": {row.label: row.recall for row in scores.classes if row.support},
        "support": {row.label: row.support for row in scores.classes},
        "confusion": scores.confusion,
        "expected_calibration_error": calibration_error(bins),
        "reliability": [asdict(b) for b in bins],
        "latency_ms": asdict(latency),
    }
