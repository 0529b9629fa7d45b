"""Cross-runtime check: the same file, executed by another runtime or on another processor."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesionlite.export.precision import PRECISIONS
from lesionlite.metrics import weighted_f1

Probabilities = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """One artifact to check.

    Attributes:
        file: The artifact.
        precision: Name of its precision.
        answers: Probabilities [N, C] from its usual runtime on this machine.
    """

    file: Path
    precision: str
    answers: Probabilities


@dataclass(frozen=True)
class CrossRuntimeCheck:
    """One artifact in another runtime, compared with its usual runtime on this machine.

    Attributes:
        artifact: File name.
        where: A runtime, or an Arm core.
        status: pass, fail, or unverified if it cannot be executed there.
        reason: Why the status is not pass.
        images: How many images were classified.
        top1_agreement: Share of the images with the same answer in both.
        max_abs_dp: Largest |difference of probability|.
        weighted_f1: In the other runtime.
        host_weighted_f1: In the usual runtime, on the same images.
    """

    artifact: str
    where: str
    status: str
    reason: str
    images: int
    top1_agreement: float | None = None
    max_abs_dp: float | None = None
    weighted_f1: float | None = None
    host_weighted_f1: float | None = None


def check(
    where: str,
    task: Task,
    found: Probabilities,
    truth: NDArray[np.int64] | None,
    classes: int,
    ties: int = 0,
) -> CrossRuntimeCheck:
    """Compare answers of another runtime with those here, by the tolerances of the precision.

    Args:
        where: Name of the runtime or core.
        task: The artifact with its answers here.
        found: The answers there, [N, C].
        truth: Class indices [N]; None if the images have no true class.
        classes: Number of classes.
        ties: How many answers may change whatever the number of images. Of a few images, one whose
            two best classes are as good as equal would else decide.
    """
    precision = PRECISIONS[task.precision]
    wrong = int((~np.isfinite(found).all(1)).sum())
    if wrong:
        why = f"{wrong} of {len(found)} answers are not finite numbers"
        return CrossRuntimeCheck(task.file.name, where, "fail", why, len(found))
    same = found.argmax(1) == task.answers.argmax(1)
    agreement = float(same.mean())
    change = float(np.abs(found.astype(np.float64) - task.answers).max())
    reasons = []
    if agreement < precision.min_agreement and (~same).sum() > ties:
        reasons.append(f"only {agreement:.4f} of the answers are the same as here")
    if change > precision.tolerance:
        reasons.append(f"a probability differs by {change:.4f}, more than {precision.tolerance}")
    return CrossRuntimeCheck(
        artifact=task.file.name,
        where=where,
        status="fail" if reasons else "pass",
        reason="; ".join(reasons),
        images=len(found),
        top1_agreement=agreement,
        max_abs_dp=change,
        weighted_f1=None if truth is None else weighted_f1(truth, found.argmax(1), classes),
        host_weighted_f1=(
            None if truth is None else weighted_f1(truth, task.answers.argmax(1), classes)
        ),
    )
