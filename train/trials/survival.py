"""Kill a training run at random moments, resume it, and compare it with an uninterrupted run.

`python -m lesionlite.train.trials.survival DATA [--kills 10]`. Both must end with equal weights
(bit for bit on a CPU) and metrics. Every third kill comes while a checkpoint is written.
"""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tyro.conf import Positional

from lesionlite.command import Json, Outcome
from lesionlite.console import respond, say
from lesionlite.errors import LesionliteError
from lesionlite.files import sha256_file
from lesionlite.flags import read_flags
from lesionlite.layout import CONTRACT, METRICS, WEIGHTS
from lesionlite.outputs import HALF
from lesionlite.settings import refuse_settings, refuse_types

SAME = (WEIGHTS, CONTRACT, METRICS)
Start = Callable[[Path], "subprocess.Popen[str]"]
FLAGS = (
    *("--model", "mobilevitv2_050", "--weights", "none", "--side", "32", "--batch", "32"),
    *("--lr", "2e-3", "--bf16", "off", "--ema", "0.9", "--device", "cpu", "--no-cache"),
)


@dataclass(frozen=True)
class Survival:
    """Kill training at random moments; exits with 1 if its result changes."""

    data: Positional[Path]
    """Data folder."""
    kills: int = 10
    """Number of kills."""
    seed: int = 0
    """Seed of the moments."""
    workers: int = 0
    """Number of processes that augment images."""
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse numbers that are out of range.

        Raises:
            LesionliteError: naming the flag, its value, and what it may be.
        """
        refuse_types(self)
        refuse_settings(self, [("kills", 0 <= self.kills <= 1000, "from 0 to 1000")])

    def run(self) -> Outcome:
        """Train twice, once with kills, and compare."""
        moments = random.Random(self.seed)
        # About one epoch passes before each kill; on a busy machine, some writes end unseen.
        epochs = self.kills + 6
        with TemporaryDirectory() as folder:
            start = partial(_start, self.data, epochs=epochs, workers=self.workers)
            whole, parts = Path(folder) / "whole", Path(folder) / "parts"
            begin, each = _pace(start, whole, epochs)
            say(f"uninterrupted: {begin:.0f} s to begin, {each:.1f} s an epoch")
            for number in range(1, self.kills + 1):
                after = begin + moments.uniform(0, 1.6) * each
                hit = _kill_once(start(parts), parts, after, number % 3 == 0)
                say(f"kill {number}: {hit}")
            wait(start(parts))
            same = {n: sha256_file(whole / n) == sha256_file(parts / n) for n in SAME}
        for name, good in same.items():
            say(f"{name}: {'the same' if good else 'NOT the same'}")
        return {"kills": self.kills, "same": same}, 0 if all(same.values()) else 1


def _start(data: Path, run: Path, epochs: int, workers: int) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-P",
        "-m",
        "lesionlite",
        "train",
        str(data),
        "--out",
        str(run),
        *FLAGS,
        "--workers",
        str(workers),
    ]
    return subprocess.Popen(
        [*command, "--epochs", str(epochs), "--patience", str(epochs), "--resume"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _pace(start: Start, run: Path, epochs: int) -> tuple[float, float]:
    """Train without kills; returns the seconds before the first epoch, and seconds per epoch."""
    started = time.monotonic()
    process = start(run)
    while process.poll() is None and not (run / METRICS).exists():
        time.sleep(0.02)
    first = time.monotonic() - started
    wait(process)
    each = (time.monotonic() - started - first) / epochs  # includes the test at the end
    return max(0.0, first - each), each


def wait(process: "subprocess.Popen[str]") -> None:
    """Wait for exit code 0 or 1; raises LesionliteError with the last line of output for others."""
    with process:
        _, said = process.communicate()
    if process.returncode not in (0, 1):  # 1 means that a gate failed
        last = said.strip().splitlines()[-1:] or ["?"]
        raise LesionliteError(f"it ended with {process.returncode}: {last[0]}")


def _kill_once(process: "subprocess.Popen[str]", run: Path, after: float, in_writing: bool) -> str:
    """Kill a process after some seconds, or while it writes a checkpoint; says when it was."""
    deadline = time.monotonic() + after
    with process:
        while process.poll() is None:
            if in_writing and any(run.glob(f"{HALF}*.pt")):
                break
            if not in_writing and time.monotonic() > deadline:
                break
            time.sleep(0 if in_writing else 0.02)  # a write takes milliseconds
        process.kill()
        process.communicate()
    if process.returncode != -signal.SIGKILL:
        raise LesionliteError("training ended before it could be killed; take more images")
    writing = [path.name for path in run.glob(f"{HALF}*")] if run.exists() else []
    return f"in writing {writing[0]}" if writing else "in between"


def main() -> int:
    """The command; returns its exit code."""
    given = sys.argv[1:]
    return respond(
        given, lambda: read_flags(Survival, given, "python -m lesionlite.train.trials.survival")
    )


if __name__ == "__main__":
    sys.exit(main())
