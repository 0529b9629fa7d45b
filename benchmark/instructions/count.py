"""Instructions of one query: a figure that noise cannot move.

Valgrind's callgrind executes the file on a processor of its own, one instruction after the other.
The same file and runtime give the same count on a busy machine and on an idle one, to less than one
in ten thousand. It is no time: instructions differ in how long they take, and valgrind knows none
of AVX-512, so runtimes take their kernels for AVX2.
"""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from lesionlite.benchmark.elsewhere.machine import other_machine
from lesionlite.benchmark.instructions.callgrind import counts
from lesionlite.benchmark.instructions.worker import QUERIES
from lesionlite.benchmark.protocol import Open, Opener, to_line
from lesionlite.errors import LesionliteError
from lesionlite.workers import worker_environment

COUNTED = ("tflite", "onnx", "executorch", "torchscript")  # formats with a runtime for x86-64
LEAST_SHARE = 0.01  # functions below it are not listed
LEAST_WORK = 0.05  # of a thread, compared with the busiest


@dataclass(frozen=True)
class Instructions:
    """The instructions of one query on one thread.

    Attributes:
        per_query: how many; None if they could not be counted.
        functions: share of each function that takes 1 % or more, the largest first.
        reason: why they could not be counted, or "".
    """

    per_query: int | None = None
    functions: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""


def refuse_no_valgrind() -> None:
    """Refuse a machine that cannot count instructions.

    Raises:
        LesionliteError: it is no x86-64 with Linux, or has no valgrind.
    """
    if here := other_machine():
        raise LesionliteError(
            f"--instructions counts on Linux on x86-64, and this machine has {here}; leave it out"
        )
    if shutil.which("valgrind") is None:
        raise LesionliteError(
            "--instructions needs valgrind, which is not installed; on Debian and Ubuntu: apt-get "
            "install valgrind"
        )


def count(path: Path, opener: Opener, images: Path) -> Instructions:
    """Count the instructions of one query of a file.

    Args:
        path: the artifact.
        opener: what opens it.
        images: .npy file, uint8 [N, S, S, 3]; the first image is the query.
    """
    with TemporaryDirectory() as folder:
        out = Path(folder) / "counts"
        valgrind = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no"]
        valgrind += ["--separate-threads=yes", f"--callgrind-out-file={out}"]
        module = "lesionlite.benchmark.instructions.worker"
        given = [to_line(Open(path, 1, opener)), str(images)]
        done = subprocess.run(
            [*valgrind, sys.executable, "-P", "-m", module, *given],
            env={**worker_environment(), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            errors="replace",
        )
        found = _working([counts(dump) for dump in Path(folder).glob("counts[-.]*")])
        if done.returncode or not found:
            last = done.stderr.strip().splitlines()[-1:]
            why = f"it ended with {done.returncode} under valgrind: {' '.join(last)}"
            return Instructions(reason=why)
    total = sum(found.values())
    shares = {name: one / total for name, one in found.most_common()}
    listed = {name: round(one, 4) for name, one in shares.items() if one >= LEAST_SHARE}
    return Instructions(round(total / QUERIES), listed)


def _working(threads: Sequence[Counter[str]]) -> Counter[str]:
    """The counts of the threads that execute the file.

    Others do a little of their own meanwhile, which is not the same in every process: ONNX Runtime
    1.32 starts one that looks up names of the network.
    """
    most = max((thread.total() for thread in threads), default=0)
    working = [thread for thread in threads if thread.total() >= LEAST_WORK * most]
    return sum(working, Counter())
