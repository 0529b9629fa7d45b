"""Time artifacts in turns, and in new processes for other numbers of threads."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from lesionlite.benchmark.candidate import Candidate
from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.latency import Latency, measure
from lesionlite.benchmark.report.record import Result
from lesionlite.console import progress


def time_all(
    threads: int,
    reference: Candidate,
    timed: Mapping[str, Candidate],
    images: Path,
    config: BenchmarkConfig,
) -> tuple[Latency, dict[str, Latency]]:
    """Warm up the candidates and time them in turns.

    Returns:
        The latency of the reference, and of each artifact by name.
    """
    candidates = [reference, *timed.values()]
    with progress() as bar:
        task = bar.add_task("warming up", total=len(candidates), note="")
        for candidate in candidates:
            bar.update(task, note=candidate.path.name)
            candidate.warm_up(images)
            bar.advance(task)
        bar.update(task, note="")
    name = f"latency, {threads} thread{'s' if threads > 1 else ''}"
    first, *others = measure(candidates, images, *config.protocol(), name)
    return first, dict(zip(timed, others, strict=True))


def time_with_threads(
    threads: int, run: Path, paths: Mapping[str, Path], images: Path, config: BenchmarkConfig
) -> dict[str, Latency]:
    """Latencies of artifacts by name, in new processes with another number of threads."""
    with ExitStack() as stack:
        everything = {"": run, **paths}
        opened = {
            name: stack.enter_context(Candidate(path, threads)) for name, path in everything.items()
        }
        for candidate in opened.values():
            candidate.open()
        reference = opened.pop("")
        return time_all(threads, reference, opened, images, config)[1]


def with_times(
    row: Result,
    timed: Mapping[str, Candidate],
    latencies: Mapping[str, Latency],
    sweep: Mapping[int, Mapping[str, Latency]],
) -> Result:
    """The result with its latencies, if a native runtime executes it here."""
    if row.artifact not in timed:
        return row
    return replace(
        row,
        latency=latencies[row.artifact],
        peak_memory_bytes=timed[row.artifact].peak_memory_bytes,
        sweep={threads: found[row.artifact].p50 for threads, found in sweep.items()},
    )
