"""Execute artifacts in a Python that qemu emulates, and compare with their answers here."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import numpy as np
from numpy.typing import NDArray

from lesionlite.benchmark.elsewhere import arm_worker
from lesionlite.benchmark.elsewhere.check import CrossRuntimeCheck, Probabilities, Task, check
from lesionlite.console import progress
from lesionlite.export.formats import format_of
from lesionlite.train.data.images import Pixels


@dataclass(frozen=True)
class Emulated:
    """A processor whose instructions qemu emulates.

    Attributes:
        name: In reports.
        python: The command of the emulator, up to the name of the interpreter.
        environment: The variables that the interpreter gets.
    """

    name: str
    python: Sequence[str]
    environment: Mapping[str, str]


def run_emulated(
    processor: Emulated,
    tasks: Sequence[Task],
    images: Pixels,
    truth: NDArray[np.int64],
    classes: int,
) -> list[CrossRuntimeCheck]:
    """Execute artifacts, as many at once as there are cores, and compare with their answers here.

    Args:
        processor: Where.
        tasks: Artifacts with their answers to the same images on this machine.
        images: uint8 [N, S, S, 3].
        truth: Class indices [N].
        classes: Number of classes.
    """
    executable = [task for task in tasks if format_of(task.file).arm]
    with TemporaryDirectory() as scratch, progress() as bar:
        np.save(Path(scratch) / "images.npy", images)
        total = len(executable) * len(images)
        shown = bar.add_task(f"on {processor.name}, emulated", total=total, note="")

        def execute(task: Task) -> Probabilities | str:
            return _execute(processor, task.file, Path(scratch), lambda: bar.advance(shown))

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = pool.map(execute, executable)
            answers = {task.file: one for task, one in zip(executable, found, strict=True)}
    return [_row(processor.name, task, answers.get(task.file), truth, classes) for task in tasks]


def _execute(
    processor: Emulated, file: Path, scratch: Path, advance: Callable[[], None]
) -> Probabilities | str:
    """Probabilities [N, C], or the reason why there are none."""
    out = scratch / f"{file.name}.npy"
    command = [*processor.python, str(Path(arm_worker.__file__)), format_of(file).arm, str(file)]
    with (
        TemporaryFile("w+") as log,
        subprocess.Popen(
            [*command, str(scratch / "images.npy"), str(out)],
            env=dict(processor.environment),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        for _ in process.stdout:
            advance()
        if process.wait():
            log.seek(0)
            last = log.read().strip().splitlines()[-1:]
            return f"it ended with {process.returncode}: {' '.join(last)}"
    answers: Probabilities = np.load(out)
    return answers


def _row(
    where: str,
    task: Task,
    found: Probabilities | str | None,
    truth: NDArray[np.int64],
    classes: int,
) -> CrossRuntimeCheck:
    if found is None:
        why = format_of(task.file).why_not_arm
        return CrossRuntimeCheck(task.file.name, where, "unverified", why, len(truth))
    if isinstance(found, str):
        return CrossRuntimeCheck(task.file.name, where, "fail", found, len(truth))
    return check(where, task, found, truth, classes)
