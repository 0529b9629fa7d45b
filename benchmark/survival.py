"""A developer's check: kill an export, benchmark or build at random times; is the result the same?

`python -m lesionlite.benchmark.survival DATA --step build [--kills 10]` uses a small network. A
command that is killed and restarted must make the same artifacts and run, byte for byte, and the
same verdicts and answers. It must leave no half-written files and keep the user's files.
`train/trials/survival.py` does the same to a training.
"""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from tyro.conf import OmitArgPrefixes, Positional

from lesionlite.benchmark.places import ARTIFACTS, RUN
from lesionlite.benchmark.run import SCRATCH
from lesionlite.command import Json, Outcome
from lesionlite.console import respond, say
from lesionlite.documents import read_json
from lesionlite.errors import LesionliteError
from lesionlite.files import sha256_file
from lesionlite.outputs import HALF, MARK, OLD
from lesionlite.settings import refuse_settings, refuse_types
from lesionlite.train.trials.survival import FLAGS, SAME, wait
from lesionlite.verdicts import REPORT_JSON, REPORTS

TRAINING = (*FLAGS, "--epochs", "2")
EXPORTING = ("--formats", "onnx", "tflite", "--precisions", "fp32")
BENCHMARKING = ("--queries", "4", "--seconds", "0.1", "--threads", "1")
USER_FILE, USER_TEXT = "notes of the user.txt", "mine"
JUDGED = ("artifact", "status", "reason", "confusion", "max_abs_dp", "top1_agreement")
TRIES = 5  # per kill, because a command may end before it is killed


@dataclass(frozen=True)
class StepSurvival:
    """Kill a step at random times; exits with 1 unless its results are the same."""

    data: Positional[Path]
    """Data folder."""
    step: Literal["export", "benchmark", "build"] = "build"
    """Which step to kill."""
    kills: int = 10
    """How often to kill it."""
    seed: int = 0
    """Seed of the random times."""
    json: Json = False

    def run(self) -> Outcome:
        """Run the step once undisturbed, once with kills, and compare."""
        refuse_types(self)
        refuse_settings(self, [("kills", 0 <= self.kills <= 1000, "from 0 to 1000")])
        with TemporaryDirectory() as name:
            folder = Path(name)
            before = _prepare(self.step, self.data, folder)
            undisturbed, killed = folder / "whole", folder / "parts"
            started = time.monotonic()
            wait(_start(_command(self.step, self.data, before, undisturbed)))
            seconds = time.monotonic() - started
            say(f"uninterrupted: {seconds:.0f} s")
            command = _command(self.step, self.data, before, killed)
            found = _run_with_kills(command, killed, self.kills, seconds, random.Random(self.seed))
            same = _results(undisturbed) == _results(killed)
            left = _leftovers(folder)
        for line in (f"the result is {'the same' if same else 'NOT the same'}", *left):
            say(line)
        good = same and not left and found.users_kept
        document = {"step": self.step, "kills": self.kills, "seconds": round(seconds, 1)}
        return {**document, **vars(found), "same": same, "left": left}, 0 if good else 1


@dataclass
class _KilledRuns:
    """How often the command ended before it was killed, and whether the user's files stayed."""

    finished: int = 0
    users_kept: bool = True


def _lesionlite(*words: object) -> list[str]:
    return [sys.executable, "-P", "-m", "lesionlite", *map(str, words)]


def _prepare(step: str, data: Path, folder: Path) -> tuple[Path, Path]:
    """The run and the artifacts that a step needs."""
    run, artifacts = folder / "before-run", folder / "before-artifacts"
    if step in ("export", "benchmark"):
        wait(_start(_lesionlite("train", data, "--out", run, *TRAINING)))
    if step == "benchmark":
        wait(_start(_lesionlite("export", run, "--out", artifacts, *EXPORTING)))
    return run, artifacts


def _command(step: str, data: Path, before: tuple[Path, Path], out: Path) -> list[str]:
    run, artifacts = before
    if step == "export":
        return _lesionlite("export", run, "--out", out, *EXPORTING)
    if step == "benchmark":
        read = (artifacts, "--run", run, "--data", data)
        return _lesionlite("benchmark", *read, "--out", out, *BENCHMARKING)
    return _lesionlite("build", data, "--out", out, *TRAINING, *EXPORTING, *BENCHMARKING)


def _start(command: Sequence[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    )


def _run_with_kills(
    command: list[str], out: Path, kills: int, seconds: float, times: random.Random
) -> _KilledRuns:
    """Kill the command `kills` times, then let it end; each start resumes the one before."""
    runs, done = _KilledRuns(), 0
    for _ in range(TRIES * kills):
        if done == kills:
            break
        user_files = _write_user_files(out)
        after = times.uniform(0, seconds)
        if _kill(command, after):
            done += 1
            left = ", ".join(_leftovers(out.parent)) or "nothing half-written"
            say(f"kill {done} after {after:.0f} s: {left}")
        else:  # it had resumed often enough to end: start from the beginning
            runs.finished += 1
            runs.users_kept &= _are_kept(user_files)
            shutil.rmtree(out)
    if done < kills:
        raise LesionliteError(
            f"it ended {runs.finished} times before it was killed; take more images"
        )
    user_files = _write_user_files(out)
    wait(_start(command))
    runs.users_kept &= _are_kept(user_files)
    return runs


def _kill(command: list[str], after: float) -> bool:
    """Kill the command after some seconds; False if it ended before."""
    with _start(command) as process:
        try:
            process.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    if process.returncode not in (0, 1, -signal.SIGKILL):
        raise LesionliteError(f"it ended with {process.returncode}: {' '.join(command[2:])}")
    return process.returncode == -signal.SIGKILL


def _write_user_files(out: Path) -> list[Path]:
    """Write files as a user would, also among the artifacts if there are any."""
    out.mkdir(exist_ok=True)
    folders = [out] + [out / ARTIFACTS] * (out / ARTIFACTS / MARK).exists()
    for folder in folders:
        (folder / USER_FILE).write_text(USER_TEXT)
    return [folder / USER_FILE for folder in folders]


def _are_kept(files: list[Path]) -> bool:
    return all(file.is_file() and file.read_text() == USER_TEXT for file in files)


def _results(out: Path) -> dict[str, Any]:
    """What must be equal: hashes of files, and the report without times."""
    files = [out / RUN / name for name in SAME]
    folder = out / ARTIFACTS if (out / ARTIFACTS).exists() else out
    files += [path for path in folder.iterdir() if path.name not in (MARK, USER_FILE, *REPORTS)]
    found: dict[str, Any] = {
        str(path.relative_to(out)): sha256_file(path) for path in files if path.exists()
    }
    report = read_json(out / REPORT_JSON)
    if report is not None:
        found["rows"] = [[row[key] for key in JUDGED] for row in report["rows"]]
        found["reference"] = report["reference"]["confusion"]
    return found


def _leftovers(folder: Path) -> list[str]:
    """Half-written files below a folder, and renamed runs."""
    marks = (HALF, OLD, SCRATCH, f"{RUN}-")
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.name.startswith(marks) and not path.parent.name.startswith(marks)
    )


def main() -> int:
    """Run the command; returns the exit code of `respond`."""
    import tyro

    return respond(sys.argv[1:], lambda: tyro.cli(OmitArgPrefixes[StepSurvival]))


if __name__ == "__main__":
    sys.exit(main())
