"""Convert the files of an export, in this process or in several others side by side."""

import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from lesionlite.console import progress
from lesionlite.errors import LesionliteError
from lesionlite.export.conversion import Conversion, Origin, to_line
from lesionlite.export.precision import PRECISIONS
from lesionlite.export.quantize.plan import INTEGER_PLAN, PLAN
from lesionlite.export.source import RoundedWeights, Source
from lesionlite.files import replacing
from lesionlite.workers import Worker, WorkerFailed

if TYPE_CHECKING:
    from lesionlite.train.data.images import Pixels

GIGABYTES = 3  # of memory for each process; a MobileViTv2 with 4.4 M parameters needs 2.3


def most_jobs(asked: int, pieces: int) -> int:
    """How many processes convert at once.

    Args:
        asked: by the user; 0 leaves it to the number of cores and the memory.
        pieces: how many there are to convert.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    fitting = min(os.cpu_count() or 1, memory // (GIGABYTES << 30))
    return max(1, min(asked or fitting, pieces))


@dataclass(frozen=True)
class _Failed:
    """A conversion that failed, why, and the worker that tried it."""

    piece: Conversion
    why: str
    worker: Worker

    def sentence(self) -> str:
        names = ", ".join(self.piece.paths)
        return f"{self.piece.format} files ({names}) cannot be made: {self.why}"


class SideBySide:
    """Conversions, which go on while this process plans the quantization; use it as a context.

    The files are moved into place at the end of the context, if no conversion failed.
    """

    def __init__(self, run: Path, source: Source, jobs: int) -> None:
        """Convert nothing yet.

        Args:
            run: run folder, of which `source` is made.
            source: without plans.
            jobs: number of processes; one is this process, which starts no other.
        """
        self._source, self._jobs, self._total = source, jobs, 0
        self._palettes: list[Conversion] = []
        self._origin = Origin(run.resolve(), source.metadata)
        self._here: list[tuple[Conversion, Source]] = []
        self._asked: SimpleQueue[tuple[Conversion, Origin] | None] = SimpleQueue()
        self._done: SimpleQueue[Conversion | _Failed] = SimpleQueue()
        self._workers: list[Worker] = []
        self._stack = ExitStack()

    def __enter__(self) -> "SideBySide":
        return self

    def __exit__(self, *details: Any) -> None:
        for worker in self._workers:  # before the files that it writes are removed
            self._asked.put(None)
            worker.close()
        self._stack.__exit__(*details)

    def start(
        self,
        floats: Iterable[Conversion],
        palettes: Sequence[Conversion],
        calibration: "Pixels | None",
    ) -> None:
        """Convert what needs no plan, beside this process if there may be others.

        Args:
            floats: need no calibration images.
            palettes: learn from them; this process, which needs them too, does it later.
            calibration: these images, uint8 [N, S, S, 3], or None.
        """
        self._add(floats, self._source, self._origin)
        if self._jobs == 1:
            self._palettes = list(palettes)
        elif palettes and calibration is not None:
            from lesionlite.export.quantize.weights.stored_weights import store_images

            folder = self._folder()
            store_images(calibration, folder)
            self._add(palettes, self._source, replace(self._origin, calibrated=folder))
        for _ in range(self._jobs - 1):
            self._hire()

    def finish(self, source: Source, pieces: Iterable[Conversion]) -> None:
        """Convert the other files, and wait until all are written.

        Args:
            source: with plans and rounded weights.
            pieces: in the order in which they begin.

        Raises:
            LesionliteError: a toolchain refuses the network; the error says which and why.
        """
        if self._jobs == 1:
            self._add([*pieces, *self._palettes], source, self._origin)
        else:
            self._hire()
            if source.rounder is not None:
                self._calibrate(source, source.rounder, list(pieces))
        self._wait()

    def _add(self, pieces: Iterable[Conversion], source: Source, origin: Origin) -> None:
        for piece in pieces:
            paths = {
                precision: self._stack.enter_context(replacing(path))
                for precision, path in piece.paths.items()
            }
            piece = replace(piece, paths=paths)
            self._total += len(paths)
            if self._jobs == 1:
                self._here.append((piece, source))
            else:
                self._asked.put((piece, origin))

    def _folder(self) -> Path:
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory()))

    def _calibrate(self, source: Source, rounder: RoundedWeights, pieces: list[Conversion]) -> None:
        """Write for the other processes what calibration gave."""
        from lesionlite.export.quantize.weights.stored_weights import IN_PAIRS, KERNELS, store

        folder = self._folder()
        for plan, name in ((source.quantization, PLAN), (source.integers, INTEGER_PLAN)):
            if plan is not None:
                plan.write(folder / name)
        rows = {PRECISIONS[precision] for piece in pieces for precision in piece.paths}
        names = {str(row.weight_bits) for row in rows if not row.calibrated}
        if any(row.calibrated for row in rows):
            names |= {KERNELS, IN_PAIRS}
        store(rounder, folder, sorted(names))
        self._add(pieces, source, replace(self._origin, calibrated=folder))

    def _hire(self) -> None:
        worker = Worker("lesionlite.export.conversion", "a conversion")
        self._workers.append(worker)
        Thread(target=self._work, args=(worker,), daemon=True).start()

    def _work(self, worker: Worker) -> None:
        """Let a worker convert, until there is nothing left or it fails."""
        while (asked := self._asked.get()) is not None:
            piece, origin = asked
            try:
                worker.ask(to_line(piece, origin))
            except (WorkerFailed, ValueError, OSError) as error:  # its pipes may be closed
                self._done.put(_Failed(piece, str(error), worker))
                return
            self._done.put(piece)

    def _wait(self) -> None:
        from lesionlite.export.quantize.threads import pinned_threads

        with progress() as bar:
            task = bar.add_task("converting", total=self._total, note="")
            for piece, source in self._here:
                bar.update(task, note=piece.format)
                with pinned_threads():  # as other processes do
                    piece.convert(source)
                bar.advance(task, len(piece.paths))
            done = 0
            while self._jobs > 1 and done < self._total:
                found = self._done.get()
                if isinstance(found, _Failed):
                    sys.stderr.write(found.worker.printed()[-3000:] + "\n")  # as `quiet` does
                    raise LesionliteError(found.sentence())
                done += len(found.paths)
                bar.update(task, completed=done, note=found.format)
            bar.update(task, note="")
