"""Latency of TFLite files on a phone, over adb, by LiteRT's own `benchmark_model`.

The user brings the binary for android-arm64, which LiteRT publishes, and `adb`, which comes with
Android's platform tools. The output is parsed as `benchmark_model.cc` prints it (OnBenchmarkEnd).
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lesionlite.console import track
from lesionlite.errors import LesionliteError, first_line

FOLDER = PurePosixPath("/data/local/tmp/lesionlite")  # adb may execute files there
NUMBER = r"([0-9.]+(?:e[+-]?[0-9]+)?)"
PATIENCE = 600  # seconds for one adb command


@dataclass(frozen=True)
class PhoneRow:
    """One file on a phone.

    Attributes:
        artifact: File name.
        phone: Its model.
        threads: That the runtime used.
        reason: Why there are no figures, or "".
        queries: Number of timed queries.
        mean_ms: Of one query.
        p50_ms: None if the tool is too old to print it.
        p95_ms: None if the tool is too old to print it.
        first_ms: Of the first query, without warm-up.
        load_ms: Until the interpreter is ready.
        memory_mb: Memory added by loading and running, in MiB; None if unknown.
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
        LesionliteError: No such binary, no adb, no phone, several phones, or no permission.
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
    # adb may print messages about its daemon above the heading.
    listed = _adb("devices").partition("List of devices attached")[2].splitlines()
    states = dict(line.split()[:2] for line in listed if len(line.split()) > 1)
    wanted = os.environ.get("ANDROID_SERIAL")  # adb uses it, too
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
    """Push the binary and each TFLite file, run them, and remove them.

    A file that the phone refuses gets a row with the reason.

    Args:
        binary: `benchmark_model` for android-arm64.
        phone: From `find_phone`.
        files: `.tflite`.
        threads: that the runtime may use.
        queries: Fewest timed queries.
        seconds: Least time spent on them.

    Raises:
        LesionliteError: Nothing can be pushed.
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
    """Parse the output of `benchmark_model`, of this or older versions.

    Raises:
        LesionliteError: It failed; the message has the last line of its output.
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
    queries, median, p95 = counts[-1]  # the earlier ones are of the warm-up
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
    """Run adb; its output on both streams (`benchmark_model` logs to standard error).

    Raises:
        LesionliteError: It fails, or takes too long.
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
