"""Execute the artifacts on the evaluation set, and judge their answers."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
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
    """A result without latency; the open candidate and its answers, unless it failed."""

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
        """Execute and judge artifacts; the results are in the same order.

        Reference executors are not timed. They get one thread, and one for each core works at the
        same time.
        """
        apart = [row for row in rows if self._is_reference(row)]
        found: dict[str, Judged] = {}
        with ThreadPoolExecutor(os.cpu_count()) as pool, ExitStack() as stop, progress() as bar:
            # If something fails here, no other candidate may start.
            stop.callback(pool.shutdown, wait=False, cancel_futures=True)
            asked = {row.artifact: pool.submit(self._examine, row, bar) for row in apart}
            found |= {name: future.result() for name, future in asked.items()}
        for row in rows:
            if row.artifact not in found:
                found[row.artifact] = self._examine(row)
        return [found[row.artifact] for row in rows]

    def _is_reference(self, row: Artifact) -> bool:
        return is_reference(format_by_suffix(self.folder / row.artifact), self.config)

    def _examine(self, row: Artifact, bar: "Progress | None" = None) -> Judged:
        """Execute and judge one artifact; with a bar, others are executed at the same time."""
        blank = Result(
            row.artifact, row.format, row.precision, row.size_bytes, "", "unverified", ""
        )
        path = self.folder / row.artifact
        opener = opener_of(usual_runtime(format_by_suffix(path), self.config))
        threads = 1 if bar else self.config.threads
        candidate = self.stack.enter_context(Candidate(path, threads, opener))
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
