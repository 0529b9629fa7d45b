"""Checks before the first step, so that no training ends in an error of the benchmark."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.elsewhere.android import find_phone
from lesionlite.benchmark.elsewhere.arm_root import find_root
from lesionlite.benchmark.elsewhere.gpu import refuse_no_gpu
from lesionlite.benchmark.elsewhere.runtimes import refuse_missing
from lesionlite.benchmark.elsewhere.x86 import refuse_no_x86
from lesionlite.benchmark.instructions.count import refuse_no_valgrind
from lesionlite.benchmark.parity import too_few
from lesionlite.benchmark.targets.hexagon import refuse_no_npu
from lesionlite.benchmark.targets.snapdragon import find_snapdragon
from lesionlite.benchmark.targets.table import find_targets
from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.export.formats import format_by_suffix, install_line
from lesionlite.train.data.splits import Split


def refuse_beforehand(config: BenchmarkConfig, artifacts: Iterable[str]) -> str:
    """Refuse a benchmark of these artifacts, by file name, that cannot run on this machine.

    Returns:
        The model of the phone; "" if --android is not set.

    Raises:
        LesionliteError: An unknown artifact or target, or a missing toolchain, runtime or device.
    """
    names = list(artifacts)
    for name in config.allow_unverified:
        if name not in names:
            raise unknown_choice("artifact", name, names)
    find_targets(config.targets)
    for core in config.arm:
        find_root(core)
    for processor in config.x86:
        refuse_no_x86(processor)
    for soc in config.npu:
        find_snapdragon(soc)
    if config.npu:
        refuse_no_npu()
    if config.gpu:
        refuse_no_gpu()
    if config.instructions:
        refuse_no_valgrind()
    rows = [row for row in map(format_by_suffix, map(Path, names)) if row]
    if line := install_line(dict.fromkeys(row.name for row in rows)):
        raise LesionliteError(line)
    refuse_missing(rows, config)
    return find_phone(config.android) if config.android else ""


def refuse_images(config: BenchmarkConfig, artifacts: Mapping[str, str], split: Split) -> None:
    """Refuse test images with which a gate has no meaning.

    Args:
        config: Of the benchmark.
        artifacts: Precision by file name.
        split: The test images.

    Raises:
        LesionliteError: `min_recall` names a class without images, whose gate would always pass;
            or, with `strict`, there are fewer images than the gate of a precision needs.
    """
    for label in config.recall_gates():
        if label not in split.labels:
            raise unknown_choice("class", label, split.labels)
        if not split.counts()[split.labels.index(label)]:
            raise LesionliteError(f"--min-recall {label}: no test image is of that class")
    few = too_few(len(split), artifacts.values(), config)
    if config.strict and few:
        raise LesionliteError(f"--strict: {few}")
