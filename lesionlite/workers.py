"""A worker: another process of lesionlite, which answers lines of JSON with lines of JSON.

Commands arrive on the worker's standard input. Answers leave on what was its standard output; file
descriptor 1 is redirected to standard error first, because toolchains print there. The parent keeps
standard error in a file, to say how a worker ended.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import IO, Any, Self, cast

import lesionlite
from lesionlite.errors import LesionliteError

Answer = dict[str, Any]


class WorkerFailed(LesionliteError):
    """A worker reported an error, or its process ended; the text says why."""


class Worker:
    """A worker process, as its parent sees it; use it as a context manager."""

    def __init__(self, module: str, work: str) -> None:
        """Start the process.

        Args:
            module: whose `main` calls `serve`.
            work: what it works on, for errors.
        """
        self._work = work
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            encoding="ascii",  # JSON escapes other characters, so any locale works
            env=worker_environment(),
            start_new_session=True,  # Ctrl-C reaches only the parent, which ends its workers
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if it has not ended."""
        self.process.kill()
        self.process.communicate()
        self.log.close()

    def ask(self, line: str, advance: Callable[[], None] | None = None) -> Answer:
        """Send a command, and wait for the answer.

        Args:
            line: the command, with a line break at its end.
            advance: called for each answer that only reports progress.

        Raises:
            WorkerFailed: the worker could not execute the command, or it ended.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
        except BrokenPipeError:
            raise WorkerFailed(self._how_it_ended()) from None
        for text in self.process.stdout:
            answer = cast(Answer, json.loads(text))
            if "progress" in answer:
                if advance is not None:
                    advance()
            elif "error" in answer:
                raise WorkerFailed(answer["error"])
            else:
                return answer
        raise WorkerFailed(self._how_it_ended())

    def printed(self) -> str:
        """What the worker has printed so far."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace").strip()

    def _how_it_ended(self) -> str:
        """The exit code of the worker and the last line of its log."""
        code = self.process.wait()
        last = self.printed().splitlines()[-1:]
        return f"the process of {self._work} ended with {code}: {' '.join(last)}"


def worker_environment() -> dict[str, str]:
    """The environment of a worker: this process's, with the folder of lesionlite in PYTHONPATH.

    The rest of `sys.path` is left out, because a script's folder may hold a file like json.py.
    """
    home = str(Path(lesionlite.__file__).parents[1])
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), home))),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def serve(answer_with: Callable[[IO[str]], Callable[[str], Answer]]) -> None:
    """Answer commands until standard input closes; a worker's `main` calls this.

    Args:
        answer_with: gets the stream of answers, for reports of progress; returns a function that
            executes one command. What that raises becomes the answer {"error": ...}.
    """
    Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    answer_to = answer_with(answers)
    for line in sys.stdin:
        try:
            answer = answer_to(line)
        except LesionliteError as error:
            answer = {"error": str(error)}
        except Exception as error:  # any error of a toolchain becomes a sentence of the parent
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")


def _end_with_parent(parent: int) -> None:
    """Exit when the parent has ended: a parent that was killed cannot stop a long conversion."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
