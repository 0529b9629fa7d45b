"""Execute artifacts on emulated Arm cores (qemu user mode) and compare their answers.

Phones have Arm processors, whose 8-bit instructions round and saturate differently than x86's. The
runtimes' own aarch64 builds are executed, so the answers are those of an Arm processor. Their speed
under emulation says nothing about phones.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lesionlite.benchmark.elsewhere.arm_root import EMULATOR, find_root
from lesionlite.benchmark.elsewhere.check import CrossRuntimeCheck, Task
from lesionlite.benchmark.elsewhere.emulated import Emulated, run_emulated
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
    python = [EMULATOR, "-cpu", root.name, "-L", str(root), str(root / "usr" / "bin" / "python3")]
    places = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(root.parent / "site")}
    return run_emulated(Emulated(core, python, places), tasks, images, truth, classes)
