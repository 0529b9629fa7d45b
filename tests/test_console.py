"""What a command says, to whom, and with which exit code, also where nobody can listen."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lesionlite.console import progress, respond, say, storage_problem
from lesionlite.errors import LesionliteError
from lesionlite.export.quiet import quiet
from lesionlite.tables import terminal_table
from tests.paths import ROOT


@dataclass
class Act:
    """A command that does what it is told."""

    do: Callable[[], None] = lambda: None
    document: dict[str, Any] = field(default_factory=dict)
    code: int = 0
    json: bool = False

    def run(self) -> tuple[dict[str, Any], int]:
        self.do()
        return self.document, self.code


# A command of its own process: it speaks, writes a file, and speaks again, as training does.
SCRIPT = """
import os, sys
from pathlib import Path
from tests.test_console import Act
from lesionlite.console import respond, say, track
from lesionlite.export.quiet import quiet
def work():
    say("word " * 40 + chr(252) + chr(0xdcff))
    for _ in track(range(3), "counting", 3): pass
    with open(sys.argv[1], "w") as file, quiet():
        os.write(1, b"from a library")
        file.write("the data")
    for _ in range(100): say("on and on " * 100)
act = Act(work, {"name": chr(252)}, int(sys.argv[2]), len(sys.argv) > 3)
sys.exit(respond(sys.argv, lambda: act))
"""


def shell(redirection: str, target: Path, code: int = 0, flags: str = "") -> tuple[int, str, str]:
    """Run the script by a shell: its exit code, and what came out and went to stderr."""
    line = f'"$0" -c "$1" "$2" {code} {flags} {redirection}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, SCRIPT, str(target)], capture_output=True, cwd=ROOT
    )
    words = done.stderr.decode()
    assert "Traceback" not in words and "Exception ignored" not in words
    assert target.read_text() == "the data"  # and no word in it, by a descriptor's number
    return done.returncode, done.stdout.decode(), words


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", ">&- <&-"])
def test_an_answer_that_is_not_delivered_is_told_once(tmp_path: Path, redirection: str) -> None:
    code, _, words = shell(redirection, tmp_path / "data", code=1)
    assert code == 2
    assert words.count("could not be written to standard output") == 1
    assert words.count("the work itself is done") == 1


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("redirection", ["| head -1", "2>&1 | head -1", "| true", "2>&1 | true"])
def test_a_reader_that_leaves_changes_nothing(tmp_path: Path, redirection: str, code: int) -> None:
    found, _, words = shell(redirection, tmp_path / "data", code=code)
    assert found == code
    assert "lesionlite:" not in words


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2>&- <&-"])
def test_standard_error_is_not_needed(tmp_path: Path, redirection: str) -> None:
    code, out, _ = shell(redirection, tmp_path / "data")
    assert code == 0 and out.endswith("on and on \n")


def test_all_closed(tmp_path: Path) -> None:
    assert shell(">&- 2>&- <&-", tmp_path / "data")[0] == 2


@pytest.mark.parametrize("terminal", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_without_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: str
) -> None:
    for name, value in {"PYTHONIOENCODING": terminal, "PYTHONUTF8": "0", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    code, out, words = shell("--json 2>/dev/null | cat", tmp_path / "data", flags="--json")
    assert code == 0
    assert json.loads(out) == {"name": "ü"}, words
    command = ["bash", "-c", '"$0" -c "$1" "$2" 0 | head -1', sys.executable, SCRIPT]
    done = subprocess.run([*command, str(tmp_path / "data")], capture_output=True, cwd=ROOT)
    letter = {"ascii": rb"\xfc", "latin-1": b"\xfc", "utf-8": "ü".encode()}[terminal]
    assert done.stdout.endswith(letter + rb"\xff" + b"\n")


def test_streams_are_restored_and_captured(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    assert respond([], lambda: Act(lambda: say("heard"))) == 0
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out == "heard\n"


def test_names_are_no_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """Rich would write a disc for the bytes AB:CD:EF, and stop at a bracket."""
    name = "AB:CD:EF [b]bold[/x] :cd:"
    say(name)
    say(terminal_table(("file",), [[name]], words=1))
    assert capsys.readouterr().out.count(name) == 2
    with progress() as bar:
        bar.add_task(name, total=1, note=name)
        bar.refresh()
    assert name in capsys.readouterr().err


def test_json_is_on_stdout_alone_and_only_on_success(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = {"loss": float("nan"), "name": "x\udcff"}
    assert respond(["--json"], lambda: Act(lambda: say("heard"), numbers, 1, True)) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"loss": None, "name": "x\\xff"}
    assert captured.err == "heard\n"

    def fail() -> None:
        say("begun")
        raise LesionliteError("no")

    assert respond(["--json"], lambda: Act(fail, {}, 0, True)) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == "begun\nlesionlite: no\n"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "not enough memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "not enough memory",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "not enough memory"),
        (RecursionError("maximum recursion depth"), "nested too deeply"),
        (FileNotFoundError(errno.ENOENT, "No such file", "x/y"), "there is no x/y"),
        (OSError(errno.ENOSPC, "No space", "source", None, "target"), "the disk is full (target)"),
        (OSError(errno.EDQUOT, "Quota", "x"), "your quota of the disk is used up (x)"),
        (OSError(errno.EMFILE, "Too many", "x"), "ulimit"),
        (OSError(errno.ELOOP, "Loop", "x"), "leads back to itself"),
        (OSError(errno.ENAMETOOLONG, "Long", "x"), "too long"),
        (OSError(errno.EISDIR, "Dir", "x"), "x is a folder; a file is expected there"),
        (OSError(errno.ENOTDIR, "No dir", "x/y"), "x/y leads through a file"),
        (OSError(errno.EIO, "I/O", b"x"), "the disk failed"),
        (OSError(errno.ENOSPC, "No space", 3), "the disk is full; free"),
        (KeyboardInterrupt(), "Stopped."),
    ],
)
def test_failures_are_sentences(
    error: BaseException, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    assert respond([], lambda: Act(fail)) == (130 if isinstance(error, KeyboardInterrupt) else 2)
    told = capsys.readouterr().err
    assert words in told and "Errno" not in told and told.count("\n") == 1


def test_ctrl_c_is_not_lost_in_a_destructor() -> None:
    class Interrupted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def lose_it() -> None:
        kept = [Interrupted()]
        kept.clear()  # Python drops what a destructor raises
        for _ in range(100):
            time.sleep(0.05)

    assert respond([], lambda: Act(lose_it)) == 130


def test_a_fault_of_ours_stays_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (RuntimeError("shapes differ"), ValueError("ours"), KeyError("x")):

        def fail(error: Exception = error) -> None:
            raise error

        with pytest.raises(type(error)):
            respond([], lambda: Act(fail))
    assert not isinstance(sys.stdout, type(None)) and capsys.readouterr().err == ""


def test_every_error_of_storage_names_its_place_once() -> None:
    for number in errno.errorcode:
        told = storage_problem(OSError(number, os.strerror(number), "/read", None, "/put"))
        assert told.count("/put") == 1 and "/read" not in told, told


def test_warnings_of_libraries_are_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "showwarning", lambda *a, **k: print("warned", file=sys.stderr))

    def warn() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")  # a library that sets filters of its own
            warnings.warn("/a/path/of/ours.py", stacklevel=1)

    for options, shown in (([], ""), (["default"], "warned\n")):
        monkeypatch.setattr(sys, "warnoptions", options)
        respond([], lambda: Act(warn))
        assert capsys.readouterr().err == shown


def test_quiet_and_progress_work_on_streams_that_broke(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with quiet():
            os.write(2, b"hidden")
        with progress() as bar:
            bar.add_task("seen", total=1, note="")

    assert respond([], lambda: Act(work)) == 0
    assert "hidden" not in capfd.readouterr().err
