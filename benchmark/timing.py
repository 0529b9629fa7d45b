"""Time artifacts in turns, and in new processes for other numbers of threads."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from lesionlite.benchmark.candidate import Candidate
from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.latency import Latency, measure
from lesionlite.benchmark.report.record import Result
from lesionlite.console import progress


def time_results(
    results: Sequence[Result],
    reference: Candidate,
    timed: Mapping[str, Candidate],
    images: Path,
    config: BenchmarkConfig,
) -> tuple[Latency, list[Result]]:
    """Add latencies to the results, with each number of threads that the settings name.

    Args:
        results: One for each artifact.
        reference: The run, already opened.
        timed: Open candidates by artifact name; other results stay as they are.
        images: .npy file with uint8 [N, S, S, 3]; the first image is the query.
        config: Protocol.

    Returns:
        The latency of the reference, and the results in the same order.
    """
    first, latencies = _time_all(config.threads, reference, timed, images, config)
    paths = {name: candidate.path for name, candidate in timed.items()}
    sweep = {n: _time_with_threads(n, reference.path, paths, images, config) for n in config.sweep}
    return first, [_with_times(row, timed, latencies, sweep) for row in results]


def _time_all(
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
            candidate.warm_up(images, config.protocol()[1])
            bar.advance(task)
        bar.update(task, note="")
    name = f"latency, {threads} thread{'s' if threads > 1 else ''}"
    first, *others = measure(candidates, images, *config.protocol(), name)
    return first, dict(zip(timed, others, strict=True))


def _time_with_threads(
    threads: int, run: Path, paths: Mapping[str, Path], images: Path, config: BenchmarkConfig
) -> dict[str, Latency]:
    """Latencies of artifacts by name, in new processes with another number of threads."""
    with ExitStack() as stack:
        reference = stack.enter_context(Candidate(run, threads))
        opened = {n: stack.enter_context(Candidate(path, threads)) for n, path in paths.items()}
        for candidate in (reference, *opened.values()):
            candidate.open()
        return _time_all(threads, reference, opened, images, config)[1]


def _with_times(
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
