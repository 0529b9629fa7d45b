"""Execute the artifacts on the evaluation set, and judge their answers."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lesionlite.benchmark.candidate import Candidate, CandidateFailed
from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.elsewhere.runtimes import is_reference, opener_of, usual_runtime
from lesionlite.benchmark.evaluation_set import EvaluationSet
from lesionlite.benchmark.parity import compare, judge, not_finite
from lesionlite.benchmark.report.record import Result
from lesionlite.console import progress
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.formats import format_by_suffix
from lesionlite.export.manifest import Artifact
from lesionlite.export.precision import PRECISIONS

if TYPE_CHECKING:
    from rich.progress import Progress


@dataclass(frozen=True)
class Judged:
    """A result without latency; the candidate, if more is asked of it; its answers."""

    result: Result
    candidate: Candidate | None = None
    answers: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Examiner:
    """What every artifact is judged by.

    Attributes:
        folder: of the artifacts.
        contract: of the run.
        evaluation: the images.
        reference: the run's answers to them, [N, C].
        config: tolerances, threads, and what executes Core ML files.
        stack: ends the processes that this starts.
    """

    folder: Path
    contract: Contract
    evaluation: EvaluationSet
    reference: NDArray[np.float32]
    config: BenchmarkConfig
    stack: ExitStack

    def examine_all(self, rows: Sequence[Artifact]) -> list[Judged]:
        """Execute and judge artifacts; the results are in the same order."""
        found = self._examine_apart([row for row in rows if self._is_reference(row)])
        for row in rows:
            if row.artifact not in found:
                candidate = self._start(row, self.config.threads)
                found[row.artifact] = self._examine(row, candidate)
        return [found[row.artifact] for row in rows]

    def _examine_apart(self, rows: Sequence[Artifact]) -> dict[str, Judged]:
        """Examine what reference executors execute; the results by name.

        They are not timed, so each gets one thread, and one for each core works at the same time.
        Their processes take one file after the other, because importing takes seconds, and end
        here, unless `resize_drift` asks them again.
        """
        free: SimpleQueue[Candidate] = SimpleQueue()

        def examine(row: Artifact) -> Judged:
            try:
                candidate = free.get_nowait()
                candidate.turn_to(self.folder / row.artifact)
            except Empty:
                candidate = self._start(row, 1)
            judged = self._examine(row, candidate, bar)
            if judged.candidate is None or self.config.resize_drift:
                return judged
            free.put(candidate)
            return replace(judged, candidate=None)

        with ThreadPoolExecutor(os.cpu_count()) as pool, progress() as bar:
            asked = {row.artifact: pool.submit(examine, row) for row in rows}
            try:
                for one in as_completed(asked.values()):
                    one.result()  # an error is raised at once
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                while any(one.running() for one in asked.values()):
                    self.stack.close()  # ends what a thread waits for, or has just started
                    time.sleep(0.1)
                raise
        while not free.empty():
            free.get().close()
        return {name: one.result() for name, one in asked.items()}

    def _is_reference(self, row: Artifact) -> bool:
        return is_reference(format_by_suffix(self.folder / row.artifact), self.config)

    def _start(self, row: Artifact, threads: int) -> Candidate:
        path = self.folder / row.artifact
        opener = opener_of(usual_runtime(format_by_suffix(path), self.config))
        return self.stack.enter_context(Candidate(path, threads, opener))

    def _examine(
        self, row: Artifact, candidate: Candidate, bar: "Progress | None" = None
    ) -> Judged:
        """Execute and judge one artifact; with a bar, others are executed at the same time."""
        blank = Result(
            row.artifact, row.format, row.precision, row.size_bytes, "", "unverified", ""
        )
        try:
            candidate.open()
            if Contract.from_json(candidate.contract) != self.contract:
                raise CandidateFailed("its contract is not that of the run; export it again")
            answers = self.evaluation.ask(candidate, row.artifact, bar=bar)
        except (LesionliteError, ValueError) as error:
            return Judged(replace(blank, reason=f"it could not be executed: {error}"))
        blank = replace(blank, runtime=candidate.runtime, native=candidate.native)
        if wrong := not_finite(answers, self.evaluation.names):
            return Judged(replace(blank, status="fail", reason=wrong))
        return Judged(self._judge(blank, answers, candidate), candidate, answers)

    def _judge(self, blank: Result, answers: NDArray[np.float32], candidate: Candidate) -> Result:
        images = self.evaluation
        parity = compare(
            answers, self.reference, images.truth, images.labels, images.names, images.rejects
        )
        good, reason = judge(parity, PRECISIONS[blank.precision], self.config)
        return replace(
            blank,
            status="pass" if good else "fail",
            reason=reason,
            parity=parity,
            load_ms=candidate.load_ms if candidate.native else None,
        )
