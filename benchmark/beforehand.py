"""What a later step would refuse, refused before the first: no training is to be in vain."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.elsewhere.android import find_phone
from lesionlite.benchmark.elsewhere.arm_root import find_root
from lesionlite.benchmark.elsewhere.runtimes import refuse_missing
from lesionlite.benchmark.parity import too_few
from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.export.formats import format_by_suffix, install_line
from lesionlite.train.data.splits import Split


def refuse_beforehand(config: BenchmarkConfig, artifacts: Iterable[str]) -> str:
    """Refuse what a benchmark of these artifacts, by file name, cannot do here.

    Returns:
        The phone's model, "" if none is asked for.

    Raises:
        LesionliteError: an unknown artifact, or a toolchain, a core, a phone or a runtime that is
            not there.
    """
    names = list(artifacts)
    for name in config.allow_unverified:
        if name not in names:
            raise unknown_choice("artifact", name, names)
    for core in config.arm:
        find_root(core)
    rows = [row for row in map(format_by_suffix, map(Path, names)) if row]
    if line := install_line(dict.fromkeys(row.name for row in rows)):
        raise LesionliteError(line)
    refuse_missing(rows, config)
    return find_phone(config.android) if config.android else ""


def refuse_images(config: BenchmarkConfig, artifacts: Mapping[str, str], split: Split) -> None:
    """Refuse test images that cannot show what they are to show.

    Args:
        config: of the benchmark.
        artifacts: precision by file name.
        split: the test images.

    Raises:
        LesionliteError: a gate on the recall of a class that is not there, which would always pass,
            or with `strict` fewer images than a precision's gate needs.
    """
    for label in config.recall_gates():
        if label not in split.labels:
            raise unknown_choice("class", label, split.labels)
        if not split.counts()[split.labels.index(label)]:
            raise LesionliteError(f"--min-recall {label}: no test image is of that class")
    few = too_few(len(split), artifacts.values(), config)
    if config.strict and few:
        raise LesionliteError(f"--strict: {few}")
