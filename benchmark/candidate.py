"""One artifact (or the reference run, or a rival) under test, held open in its own process."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lesionlite
from lesionlite.errors import LesionliteError


class CandidateFailed(LesionliteError):
    """The candidate could not be loaded or executed; the text says why."""


class Candidate:
    """A worker process with one artifact in it; use as a context."""

    def __init__(
        self, path: Path, threads: int, kind: str = "ours", shape: tuple[int, ...] = ()
    ) -> None:
        """Start the process; `open` or `convert` says what it is for.

        Args:
            path: the run or artifact; for other kinds see `lesionlite.benchmark.worker`.
            threads: that the runtime may use.
            kind: "ours", "foreign" (any toolchain's file), "kernel" (a name of `KERNELS`), or
                what opens one of our files instead: a name of `OTHERS`, or `REFERENCE`.
            shape: of a foreign file's input, where the file does not keep it.
        """
        self.path, self.threads, self.kind, self.shape = path, threads, kind, shape
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lesionlite.benchmark.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            encoding="ascii",  # JSON with escapes: names of any bytes pass, in any locale
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the parent, which ends its workers itself
        )
        self.load_ms, self.runtime, self.native, self.contract = 0.0, "", True, ""
        self.multiply_adds, self.peak_memory_bytes = 0, 0
        self.settled = True

    def __enter__(self) -> "Candidate":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()
        self.log.close()

    def open(self) -> None:
        """Load the artifact; CandidateFailed says why it cannot be."""
        wanted = {"path": str(self.path), "kind": self.kind, "shape": self.shape}
        answer = self._ask({"do": "load", "threads": self.threads, **wanted})
        self.load_ms, self.runtime = answer["load_ms"], answer["runtime"]
        self.native, self.contract = answer["native"], answer["contract"]
        self.multiply_adds = answer.get("multiply_adds", 0)
        self.peak_memory_bytes = answer.get("peak_memory_bytes", 0)  # loaded, one query

    def convert(self, name: str, run: Path, images: Path | None, ours: Path | None) -> None:
        """Write the default export called `name` of a run to `path`; CandidateFailed if refused.

        Args:
            name: key of `lesionlite.benchmark.peers.defaults.DEFAULTS`.
            run: the run folder.
            images: .npy file with uint8 [N, S, S, 3] to calibrate on.
            ours: our float artifact of the same format.
        """
        given = {"images": str(images or ""), "ours": str(ours or "")}
        self._ask({"do": "convert", "name": name, "run": str(run), "path": str(self.path), **given})

    def predict(
        self, images: Path, out: Path, rows: NDArray[np.int64], advance: Callable[[], None]
    ) -> None:
        """Answer some of the uint8 [N, S, S, 3] images in a .npy file.

        Args:
            images: that file.
            out: .npy file, float32 [N, C], that is there already; the rows asked for are filled.
            rows: which.
            advance: called after each.
        """
        files = {"images": str(images), "out": str(out)}
        self._ask({"do": "predict", "rows": rows.tolist(), **files}, advance)

    def warm_up(self, images: Path) -> None:
        """Query until the times have settled; `settled` tells whether they have."""
        self.settled = self._ask({"do": "warm_up", "images": str(images)})["settled"]

    def burst(self, images: Path, seconds: float) -> list[float]:
        """Times of single queries, in milliseconds, for about so many seconds."""
        answer = self._ask({"do": "burst", "images": str(images), "seconds": seconds})
        return [float(ms) for ms in answer["ms"]]

    def _ask(
        self, command: dict[str, Any], advance: Callable[[], None] | None = None
    ) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise CandidateFailed(self._obituary()) from None
        for line in self.process.stdout:
            answer: dict[str, Any] = json.loads(line)
            if "progress" in answer:
                if advance is not None:
                    advance()
            elif "error" in answer:
                raise CandidateFailed(answer["error"])
            else:
                return answer
        raise CandidateFailed(self._obituary())

    def _obituary(self) -> str:
        code = self.process.wait()
        self.log.seek(0)
        last = self.log.read().decode(errors="replace").strip().splitlines()[-1:]
        return f"the process of {self.path.name} ended with {code}: {' '.join(last)}"


def _environment() -> dict[str, str]:
    """This process's environment, in which the worker finds lesionlite, wherever it lies.

    The rest of this process's import path stays out: a script's folder may hold a json.py.
    """
    home = str(Path(lesionlite.__file__).parents[1])
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), home))),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
