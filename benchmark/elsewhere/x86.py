"""Execute artifacts on emulated x86 processors (qemu user mode) and compare their answers.

Servers and desktops without VNNI (Intel before 2019, AMD before Zen 4) have other 8-bit kernels,
which may saturate. This machine's own Python runs under the emulator.
"""

import os
import shutil
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lesionlite.benchmark.elsewhere.check import CrossRuntimeCheck, Task
from lesionlite.benchmark.elsewhere.emulated import Emulated, run_emulated
from lesionlite.benchmark.elsewhere.machine import other_machine
from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.export.formats import format_of
from lesionlite.train.data.images import Pixels

EMULATOR = "qemu-x86_64-static"
PROCESSORS = {"haswell": "Haswell", "skylake": "Skylake-Client"}  # names of the emulator; no VNNI


def refuse_no_x86(processor: str) -> None:
    """Refuse a processor that cannot be emulated here.

    Raises:
        LesionliteError: There is no such processor, this machine is no x86-64 with Linux, or there
            is no emulator.
    """
    if processor not in PROCESSORS:
        raise unknown_choice("x86 processor", processor, PROCESSORS)
    if here := other_machine():
        raise LesionliteError(
            f"--x86 emulates Linux on x86-64 for a Python of that kind, and this machine has "
            f"{here}; leave it out"
        )
    if shutil.which(EMULATOR) is None:
        raise LesionliteError(
            f"--x86 needs {EMULATOR}, which is not installed; on Debian and Ubuntu, install "
            "qemu-user-static"
        )


def run_on_x86(
    processor: str, tasks: Sequence[Task], images: Pixels, truth: NDArray[np.int64], classes: int
) -> list[CrossRuntimeCheck]:
    """Execute artifacts on an emulated x86 processor, and compare with their answers here.

    Sessions have their default options, as in a program of a stranger.

    Args:
        processor: Key of `PROCESSORS`.
        tasks: Artifacts with their answers to the same images on this machine.
        images: uint8 [N, S, S, 3].
        truth: Class indices [N].
        classes: Number of classes.
    """
    python = [EMULATOR, "-cpu", PROCESSORS[processor], sys.executable]
    places = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    executable = [task for task in tasks if format_of(task.file).arm]
    return run_emulated(Emulated(processor, python, places), executable, images, truth, classes)
