"""Latency of TFLite files on a phone, over adb, by LiteRT's own `benchmark_model`.

The binary (for android-arm64) is the user's: LiteRT publishes it, and `adb` comes with Android's
platform tools. What it prints is parsed as `benchmark_model.cc` writes it (OnBenchmarkEnd).
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lesionlite.console import track
from lesionlite.errors import LesionliteError
from lesionlite.export.formats import first_line

FOLDER = PurePosixPath("/data/local/tmp/lesionlite")  # where a phone lets adb execute things
NUMBER = r"([0-9.]+(?:e[+-]?[0-9]+)?)"
PATIENCE = 600  # seconds for one adb command


@dataclass(frozen=True)
class PhoneRow:
    """One file on a phone.

    Attributes:
        artifact: file name.
        phone: its model.
        threads: that the runtime used.
        reason: why there are no figures, or "".
        queries: how many were timed.
        mean_ms: of one query.
        p50_ms: None where the tool is too old to tell.
        p95_ms: the same.
        first_ms: the first query, not warmed up.
        load_ms: until the interpreter was ready.
        memory_mb: what loading and running added, in MiB; None where the phone does not tell.
    """

    artifact: str
    phone: str
    threads: int
    reason: str = ""
    queries: int | None = None
    mean_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    first_ms: float | None = None
    load_ms: float | None = None
    memory_mb: float | None = None


def find_phone(binary: Path) -> str:
    """The model of the phone that adb reaches.

    Raises:
        LesionliteError: no such binary, no adb, no phone, one that does not let us, or several.
    """
    if not binary.is_file():
        raise LesionliteError(
            f"there is no {binary}; --android takes LiteRT's benchmark_model for android-arm64"
        )
    if shutil.which("adb") is None:
        raise LesionliteError(
            "--android needs adb, which comes with Android's platform tools (Debian: apt-get "
            "install adb)"
        )
    # What stands above the heading is of adb starting its daemon.
    listed = _adb("devices").partition("List of devices attached")[2].splitlines()
    states = dict(line.split()[:2] for line in listed if len(line.split()) > 1)
    wanted = os.environ.get("ANDROID_SERIAL")  # adb itself heeds it
    if wanted is None and len(states) > 1:
        raise LesionliteError(
            f"several phones are connected; set ANDROID_SERIAL to one of: {', '.join(states)}"
        )
    state = states.get(wanted) if wanted else next(iter(states.values()), None)
    if state is None:
        raise LesionliteError(
            f"adb sees no phone{f' {wanted}' if wanted else ''}; connect one and turn on USB "
            "debugging in its developer options"
        )
    if state != "device":
        raise LesionliteError(f"adb may not use the phone ({state}); allow it on its screen")
    return _adb("shell", "getprop", "ro.product.model").strip()


def time_on_phone(
    binary: Path, phone: str, files: Sequence[Path], threads: int, queries: int, seconds: float
) -> list[PhoneRow]:
    """Push the binary and each TFLite file, run, and remove them again.

    A file that the phone refuses gets a row with its reason.

    Args:
        binary: `benchmark_model` for android-arm64.
        phone: as `find_phone` gave it.
        files: `.tflite`.
        threads: that the runtime may use.
        queries: fewest timed ones.
        seconds: least time spent on them.

    Raises:
        LesionliteError: if nothing can be pushed.
    """
    tool = FOLDER / "benchmark_model"
    try:
        _adb("shell", "mkdir", "-p", str(FOLDER))
        _adb("push", str(binary), str(tool))
        _adb("shell", "chmod", "755", str(tool))
        return [
            _time_one(tool, phone, file, threads, queries, seconds)
            for file in track(files, f"latency on {phone}", len(files))
        ]
    finally:
        _adb("shell", "rm", "-rf", str(FOLDER))


def _time_one(
    tool: PurePosixPath, phone: str, file: Path, threads: int, queries: int, seconds: float
) -> PhoneRow:
    remote = FOLDER / file.name
    try:
        _adb("push", str(file), str(remote))
        said = _adb(
            *("shell", str(tool), f"--graph={remote}", f"--num_threads={threads}"),
            *(f"--num_runs={queries}", f"--min_secs={seconds:g}", f"--max_secs={PATIENCE // 2}"),
            *("--warmup_min_secs=1", "--use_xnnpack=true"),
        )
        return parse(said, file.name, phone, threads)
    except LesionliteError as error:
        return PhoneRow(file.name, phone, threads, str(error))
    finally:
        _adb("shell", "rm", "-f", str(remote))


def parse(said: str, artifact: str, phone: str, threads: int) -> PhoneRow:
    """What `benchmark_model` printed, of this or older versions, as a row.

    Raises:
        LesionliteError: if it did not end well; with the last thing it said.
    """
    summary = re.search(
        rf"Inference timings in us: Init: {NUMBER}, First inference: {NUMBER}, "
        rf"Warmup \(avg\): {NUMBER}, Inference \(avg\): {NUMBER}",
        said,
    )
    counts = re.findall(rf"count=(\d+)(?:.*?median={NUMBER} p95={NUMBER})?", said)
    if summary is None or not counts:
        last = [line for line in said.splitlines() if line.strip()][-1:]
        raise LesionliteError(f"benchmark_model did not finish: {''.join(last).strip()}")
    load, first, _, mean = (float(us) / 1000 for us in summary.groups())
    queries, median, p95 = counts[-1]  # those before are the warm-up
    memory = re.search(rf"\(MB\): init={NUMBER} overall={NUMBER}", said)
    return PhoneRow(
        artifact=artifact,
        phone=phone,
        threads=threads,
        queries=int(queries),
        mean_ms=mean,
        p50_ms=float(median) / 1000 if median else None,
        p95_ms=float(p95) / 1000 if p95 else None,
        first_ms=first,
        load_ms=load,
        memory_mb=float(memory[2]) if memory else None,
    )


def _adb(*arguments: str) -> str:
    """What adb says on both streams (`benchmark_model` logs to standard error).

    Raises:
        LesionliteError: if it fails, or takes too long.
    """
    try:
        done = subprocess.run(
            ["adb", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        raise LesionliteError(f"adb {arguments[0]} took longer than {PATIENCE} s") from error
    if done.returncode:
        words = done.stdout.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise LesionliteError(f"adb {arguments[0]} failed: {first_line(words[0])}")
    return done.stdout
