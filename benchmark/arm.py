"""What artifacts answer on Arm instructions, under qemu's user emulation: kernels, not speed.

Phones are Arm; their 8-bit kernels round and saturate by other instructions than x86's. The
runtimes' own aarch64 builds are executed, so what is compared is what a phone's processor computes.
"""

import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import numpy as np
from numpy.typing import NDArray

from benchmark import arm_worker
from benchmark.arm_root import EMULATOR, find_root
from export.precision import PRECISIONS
from train.console import progress
from train.data import Pixels
from train.metrics import weighted_f1

Probabilities = NDArray[np.float32]
WHY_NOT = {
    ".pte": "ExecuTorch's aarch64 wheel needs torch, whose aarch64 wheel needs CUDA's libraries",
    ".ptl": "torch's aarch64 wheel needs CUDA's libraries",
    ".mlpackage": "Core ML runs on Apple's systems only",
}


@dataclass(frozen=True)
class Task:
    """One artifact to execute.

    Attributes:
        file: the artifact.
        precision: name of its recipe.
        answers: x86's, of the sampled images.
    """

    file: Path
    precision: str
    answers: Probabilities


@dataclass(frozen=True)
class ArmRow:
    """One artifact on one core, beside the same runtime on this machine's processor.

    Attributes:
        artifact: file name.
        core: name of the Arm core.
        status: pass, fail, or unverified where its runtime has no build to emulate.
        reason: why not pass.
        images: how many were sampled.
        top1_agreement: share of them with the same answer on both.
        max_abs_dp: largest |difference of probability|.
        weighted_f1: on Arm.
        host_weighted_f1: on this machine, of the same images.
    """

    artifact: str
    core: str
    status: str
    reason: str
    images: int
    top1_agreement: float | None = None
    max_abs_dp: float | None = None
    weighted_f1: float | None = None
    host_weighted_f1: float | None = None


def run_on_arm(
    core: str, tasks: Sequence[Task], images: Pixels, truth: NDArray[np.int64], classes: int
) -> list[ArmRow]:
    """Execute artifacts on an emulated Arm core and compare with what they answered here.

    Args:
        core: key of `CORES`.
        tasks: artifacts with this machine's answers to the same images.
        images: uint8 [N, S, S, 3].
        truth: class indices [N].
        classes: how many classes there are.

    Raises:
        LesionliteError: no such core, no emulator, or no Arm system.
    """
    root = find_root(core)
    able = [task for task in tasks if task.file.suffix not in WHY_NOT]
    with TemporaryDirectory() as scratch, progress() as bar:
        np.save(Path(scratch) / "images.npy", images)
        shown = bar.add_task(f"on {core}, emulated", total=len(able) * len(images), note="")

        def one(task: Task) -> Probabilities | str:
            return _execute(root, task.file, Path(scratch), lambda: bar.advance(shown))

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            answers = dict(zip((task.file for task in able), pool.map(one, able), strict=True))
    return [
        _row(core, task, answers[task.file], truth, classes)
        if task.file in answers
        else ArmRow(task.file.name, core, "unverified", WHY_NOT[task.file.suffix], len(images))
        for task in tasks
    ]


def _execute(
    root: Path, file: Path, scratch: Path, advance: Callable[[], None]
) -> Probabilities | str:
    """Probabilities [N, C], or why there are none."""
    out = scratch / f"{file.name}.npy"
    command = [EMULATOR, "-cpu", root.name, "-L", str(root), str(root / "usr" / "bin" / "python3")]
    command += [str(Path(arm_worker.__file__)), file.suffix, str(file)]
    with TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*command, str(scratch / "images.npy"), str(out)],
            env={"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(root.parent / "site")},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        for _ in process.stdout:
            advance()
        if process.wait():
            log.seek(0)
            said = log.read().strip().splitlines()[-1:]
            return f"it ended with {process.returncode}: {' '.join(said)}"
    answers: Probabilities = np.load(out)
    return answers


def _row(
    core: str,
    task: Task,
    found: Probabilities | str,
    truth: NDArray[np.int64],
    classes: int,
) -> ArmRow:
    images = len(truth)
    if isinstance(found, str):
        return ArmRow(task.file.name, core, "fail", found, images)
    precision = PRECISIONS[task.precision]
    agreement = float((found.argmax(1) == task.answers.argmax(1)).mean())
    change = float(np.abs(found.astype(np.float64) - task.answers).max())
    reasons = []
    if agreement < precision.min_agreement:
        reasons.append(f"only {agreement:.4f} of the answers are those given here")
    if not change <= precision.tolerance:
        reasons.append(f"a probability differs by {change:.4f}, more than {precision.tolerance}")
    return ArmRow(
        artifact=task.file.name,
        core=core,
        status="fail" if reasons else "pass",
        reason="; ".join(reasons),
        images=images,
        top1_agreement=agreement,
        max_abs_dp=change,
        weighted_f1=weighted_f1(truth, found.argmax(1), classes),
        host_weighted_f1=weighted_f1(truth, task.answers.argmax(1), classes),
    )
