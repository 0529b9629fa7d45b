"""Execute artifacts elsewhere, too: in other runtimes, on emulated processors, NPUs and GPUs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lesionlite.benchmark.candidate import Candidate, CandidateFailed
from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.elsewhere.arm import run_on_arm
from lesionlite.benchmark.elsewhere.check import CrossRuntimeCheck, Task, check
from lesionlite.benchmark.elsewhere.gpu import GPU_OPENER
from lesionlite.benchmark.elsewhere.npu import SUFFIXES as NPU_SUFFIXES
from lesionlite.benchmark.elsewhere.npu import npu_opener
from lesionlite.benchmark.elsewhere.runtimes import opener_of, runtimes_for
from lesionlite.benchmark.elsewhere.x86 import run_on_x86
from lesionlite.benchmark.evaluation_set import EvaluationSet
from lesionlite.benchmark.protocol import Opener
from lesionlite.export.execute.vectors import golden_answers
from lesionlite.export.quantize.calibration import choose
from lesionlite.train.data.splits import Split


def run_elsewhere(
    tasks: Sequence[Task], evaluation: EvaluationSet, split: Split, config: BenchmarkConfig
) -> tuple[CrossRuntimeCheck, ...]:
    """Execute artifacts wherever the settings say, and compare with their answers here.

    Args:
        tasks: The artifacts that were executed here, with their answers to all images.
        evaluation: The images.
        split: Their files.
        config: Which runtimes and devices.
    """
    return (
        *_in_other_runtimes(tasks, evaluation, config),
        *_on_arm(tasks, evaluation, split, config),
        *_on_x86(tasks, evaluation, split, config),
        *_on_npus(tasks, evaluation, split, config),
        *_on_gpu(tasks, evaluation, config),
    )


def _in_other_runtimes(
    tasks: Sequence[Task], evaluation: EvaluationSet, config: BenchmarkConfig
) -> list[CrossRuntimeCheck]:
    return [
        row
        for task in tasks
        for name in runtimes_for(task.file, config)
        for row in _ask(_Place(name, opener_of(name), _all(evaluation)), task, evaluation, config)
    ]


def _on_arm(
    tasks: Sequence[Task], evaluation: EvaluationSet, split: Split, config: BenchmarkConfig
) -> list[CrossRuntimeCheck]:
    """On emulated Arm cores, with a sample of the images."""
    return _emulated(run_on_arm, config.arm, tasks, evaluation, split, config.arm_images)


def _on_x86(
    tasks: Sequence[Task], evaluation: EvaluationSet, split: Split, config: BenchmarkConfig
) -> list[CrossRuntimeCheck]:
    """On emulated x86 processors, with a sample of the images."""
    return _emulated(run_on_x86, config.x86, tasks, evaluation, split, config.x86_images)


def _emulated(
    run: Callable[..., list[CrossRuntimeCheck]],
    processors: Sequence[str],
    tasks: Sequence[Task],
    evaluation: EvaluationSet,
    split: Split,
    number: int,
) -> list[CrossRuntimeCheck]:
    if not processors:
        return []
    sample = _sample(split, number)
    sampled = [replace(task, answers=task.answers[sample]) for task in tasks]
    images, truth = np.load(evaluation.images, mmap_mode="r")[sample], evaluation.truth[sample]
    return [
        row
        for processor in processors
        for row in run(processor, sampled, images, truth, len(evaluation.labels))
    ]


def _on_npus(
    tasks: Sequence[Task], evaluation: EvaluationSet, split: Split, config: BenchmarkConfig
) -> list[CrossRuntimeCheck]:
    """On emulated NPUs, with a sample of the images and the golden images."""
    if not config.npu:
        return []
    sample = _sample(split, config.npu_images)
    return [
        row
        for soc in config.npu
        for task in tasks
        if task.file.suffix in NPU_SUFFIXES
        for row in _ask(
            _Place(f"{soc} NPU", npu_opener(task.file, soc), sample, True), task, evaluation, config
        )
    ]


def _on_gpu(
    tasks: Sequence[Task], evaluation: EvaluationSet, config: BenchmarkConfig
) -> list[CrossRuntimeCheck]:
    if not config.gpu:
        return []
    place = _Place("LiteRT GPU", GPU_OPENER, _all(evaluation), True)
    return [
        row
        for task in tasks
        if task.file.suffix == ".tflite"
        for row in _ask(place, task, evaluation, config)
    ]


@dataclass(frozen=True)
class _Place:
    """Where to execute a file.

    Attributes:
        name: In reports.
        opener: What opens the file there.
        rows: Indices of the images to classify.
        is_device: It computes in another precision. One of its answers may differ, and it executes
            the golden images, too.
    """

    name: str
    opener: Opener
    rows: Sequence[int]
    is_device: bool = False


def _ask(
    place: _Place, task: Task, evaluation: EvaluationSet, config: BenchmarkConfig
) -> list[CrossRuntimeCheck]:
    """Execute one artifact in a process of its own: such runtimes crash and leak memory."""
    truth, classes = evaluation.truth[place.rows], len(evaluation.labels)
    name, label = place.name, f"{task.file.name}, {place.name}"
    here, ties = replace(task, answers=task.answers[place.rows]), int(place.is_device)
    rows = []
    try:
        with Candidate(task.file, config.threads, place.opener) as other:
            other.open()
            found = evaluation.ask(other, label, rows=place.rows)
            rows.append(check(name, here, found, truth, classes, ties))
            if place.is_device and (golden := golden_answers(task.file)):
                images, answers = golden
                file = evaluation.write("golden", images, "", len(images))
                found = evaluation.ask(other, f"{label}, golden images", file)
                here = replace(task, answers=answers)
                # Any answer may change, because apps test themselves by probabilities alone: a
                # network has near-ties on drawn images, which are unlike those it was trained on.
                ties = len(answers)
                rows.append(check(f"{name}, golden images", here, found, None, classes, ties))
    except CandidateFailed as error:
        why = f"it could not be executed: {error}"
        rows.append(CrossRuntimeCheck(task.file.name, name, "fail", why, len(truth)))
    return rows


def _all(evaluation: EvaluationSet) -> range:
    return range(len(evaluation.truth))


def _sample(split: Split, images: int) -> list[int]:
    """Indices of some of the images, spread evenly over the classes."""
    chosen = set(choose(split, images, seed=0))
    return [index for index, file in enumerate(split.files) if file in chosen]
