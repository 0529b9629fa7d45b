"""Execute the artifacts on the evaluation set, and judge their answers."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
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
    """A result without latency; the open candidate, if more is asked of it; its answers."""

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
        """Execute and judge artifacts, several at the same time; the results are in the same order.

        Most of the time goes into starting processes, which have one thread then.
        """
        cores = os.cpu_count() or 1
        at_once = min(len(rows), max(2, cores // self.config.threads))
        with ThreadPoolExecutor(at_once) as pool, progress() as bar:
            # Reference executors take longest, so they come first.
            order = sorted(rows, key=lambda row: not self._is_reference(row))
            asked = {row.artifact: pool.submit(self._examine, row, bar, at_once) for row in order}
            try:
                for one in as_completed(asked.values()):
                    one.result()  # an error is raised at once
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                while any(one.running() for one in asked.values()):
                    self.stack.close()  # ends what a thread waits for, or has just started
                    time.sleep(0.1)
                raise
        return [asked[row.artifact].result() for row in rows]

    def _is_reference(self, row: Artifact) -> bool:
        return is_reference(format_by_suffix(self.folder / row.artifact), self.config)

    def _examine(self, row: Artifact, bar: "Progress", at_once: int) -> Judged:
        """Execute and judge one artifact, while others are executed."""
        blank = Result(
            row.artifact, row.format, row.precision, row.size_bytes, "", "unverified", ""
        )
        path, reference = self.folder / row.artifact, self._is_reference(row)
        opener = opener_of(usual_runtime(format_by_suffix(path), self.config))
        threads = 1 if reference else self.config.threads
        candidate = self.stack.enter_context(Candidate(path, threads, opener))
        try:
            candidate.open()
            if Contract.from_json(candidate.contract) != self.contract:
                raise CandidateFailed("its contract is not that of the run; export it again")
            answers = self.evaluation.ask(candidate, row.artifact, bar=bar, at_once=at_once)
        except (LesionliteError, ValueError) as error:
            return Judged(replace(blank, reason=f"it could not be executed: {error}"))
        blank = replace(blank, runtime=candidate.runtime, native=candidate.native)
        if wrong := not_finite(answers, self.evaluation.names):
            return Judged(replace(blank, status="fail", reason=wrong))
        result = self._judge(blank, answers)
        if reference and not self.config.resize_drift:  # nothing more is asked of it
            candidate.close()
            return Judged(result, None, answers)
        return Judged(result, candidate, answers)

    def _judge(self, blank: Result, answers: NDArray[np.float32]) -> Result:
        images = self.evaluation
        parity = compare(
            answers, self.reference, images.truth, images.labels, images.names, images.rejects
        )
        good, reason = judge(parity, PRECISIONS[blank.precision], self.config)
        status = "pass" if good else "fail"
        return replace(blank, status=status, reason=reason, parity=parity)
