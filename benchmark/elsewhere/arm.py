"""Execute artifacts on emulated Arm cores (qemu user mode) and compare their answers.

Phones have Arm processors, whose 8-bit instructions round and saturate differently than x86's. The
runtimes' own aarch64 builds are executed, so the answers are those of an Arm processor. Their speed
under emulation says nothing about phones.
"""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import numpy as np
from numpy.typing import NDArray

from lesionlite.benchmark.elsewhere import arm_worker
from lesionlite.benchmark.elsewhere.arm_root import EMULATOR, find_root
from lesionlite.benchmark.elsewhere.check import CrossRuntimeCheck, Probabilities, Task, check
from lesionlite.console import progress
from lesionlite.export.formats import format_of
from lesionlite.train.data.images import Pixels


def run_on_arm(
    core: str, tasks: Sequence[Task], images: Pixels, truth: NDArray[np.int64], classes: int
) -> list[CrossRuntimeCheck]:
    """Execute artifacts on an emulated Arm core and compare with their answers here.

    Args:
        core: Key of `CORES`.
        tasks: Artifacts with their answers to the same images on this machine.
        images: uint8 [N, S, S, 3].
        truth: Class indices [N].
        classes: Number of classes.

    Raises:
        LesionliteError: There is no such core, no emulator, or no Arm system.
    """
    root = find_root(core)
    executable = [task for task in tasks if format_of(task.file).arm]

    def emulate(file: Path, scratch: Path, advance: Callable[[], None]) -> Probabilities | str:
        return _execute(root, file, scratch, advance)

    answers = emulate_all(core, executable, images, emulate)
    return [row(core, task, answers.get(task.file), truth, classes) for task in tasks]


Emulate = Callable[[Path, Path, Callable[[], None]], "Probabilities | str"]


def emulate_all(
    core: str, tasks: Sequence[Task], images: Pixels, emulate: Emulate
) -> dict[Path, Probabilities | str]:
    """The answers of each artifact, or why there are none; as many at once as there are cores."""
    with TemporaryDirectory() as scratch, progress() as bar:
        np.save(Path(scratch) / "images.npy", images)
        shown = bar.add_task(f"on {core}, emulated", total=len(tasks) * len(images), note="")

        def ask(task: Task) -> Probabilities | str:
            return emulate(task.file, Path(scratch), lambda: bar.advance(shown))

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return {task.file: one for task, one in zip(tasks, pool.map(ask, tasks), strict=True)}


def _execute(
    root: Path, file: Path, scratch: Path, advance: Callable[[], None]
) -> Probabilities | str:
    """Probabilities [N, C], or the reason why there are none."""
    command = [EMULATOR, "-cpu", root.name, "-L", str(root), str(root / "usr" / "bin" / "python3")]
    places = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(root.parent / "site")}
    return execute(command, places, file, scratch, advance)


def execute(
    python: Sequence[str],
    environment: Mapping[str, str],
    file: Path,
    scratch: Path,
    advance: Callable[[], None],
) -> Probabilities | str:
    """Classify images with a file in an emulated Python.

    Args:
        python: The command of the emulator, up to the name of the interpreter.
        environment: The variables that it gets.
        file: The artifact.
        scratch: Folder that holds images.npy; the answers are written there.
        advance: Called after each image.

    Returns:
        Probabilities [N, C], or the reason why there are none.
    """
    out = scratch / f"{file.name}.npy"
    command = [*python, str(Path(arm_worker.__file__)), format_of(file).arm, str(file)]
    with (
        TemporaryFile("w+") as log,
        subprocess.Popen(
            [*command, str(scratch / "images.npy"), str(out)],
            env=dict(environment),
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


def row(
    core: str,
    task: Task,
    found: Probabilities | str | None,
    truth: NDArray[np.int64],
    classes: int,
) -> CrossRuntimeCheck:
    """The row of the report for one artifact, from its answers or the reason why it has none."""
    if found is None:
        why = format_of(task.file).why_not_arm
        return CrossRuntimeCheck(task.file.name, core, "unverified", why, len(truth))
    if isinstance(found, str):
        return CrossRuntimeCheck(task.file.name, core, "fail", found, len(truth))
    return check(core, task, found, truth, classes)
