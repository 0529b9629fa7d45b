"""One piece of an export: the files of one format that are converted together."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from lesionlite.documents import structure
from lesionlite.export.format import Format
from lesionlite.export.formats import find_format
from lesionlite.export.metadata import Metadata
from lesionlite.export.precision import PRECISIONS
from lesionlite.export.quantize.plan import INTEGER_PLAN, PLAN, Plan
from lesionlite.export.source import Source
from lesionlite.workers import Answer, serve


@dataclass(frozen=True)
class Origin:
    """Where another process finds the source.

    Attributes:
        run: run folder.
        metadata: the description to store.
        calibrated: folder with plans and rounded weights; None without calibration images.
    """

    run: Path
    metadata: Metadata
    calibrated: Path | None = None


@dataclass(frozen=True)
class Conversion:
    """The files of one format that are converted together.

    Attributes:
        format: name of the format.
        paths: where to write the file of each precision.
    """

    format: str
    paths: dict[str, Path]

    @property
    def learned(self) -> bool:
        """Whether they need palettes, which take longest to make."""
        return any(PRECISIONS[name].learned for name in self.paths)

    def convert(self, source: Source) -> None:
        """Write the files, in this process."""
        find_format(self.format).convert(source, self.paths)


def conversions(paths: Iterable[tuple[Format, str, Path]]) -> list[Conversion]:
    """What is converted together: files of one format, palettes apart, because they need no plan.

    Converters share work among the files of a format. In `FORMATS`, those that take long come last,
    and here they come first, so that no process is left with one of them at the end.

    Args:
        paths: format, precision and path of each file; either of float files or of others.
    """
    groups: dict[tuple[bool, str], dict[str, Path]] = {}
    for row, precision, path in paths:
        groups.setdefault((PRECISIONS[precision].learned, row.name), {})[precision] = path
    return [Conversion(name, group) for (_, name), group in reversed(groups.items())]


def to_line(conversion: Conversion, origin: Origin) -> str:
    """The command of a worker, one line of ASCII."""
    return json.dumps([asdict(conversion), asdict(origin)], default=str) + "\n"


@cache
def _source(origin: Origin) -> Source:
    from lesionlite.export.forms.attention import NCHW
    from lesionlite.export.quantize.weights.stored_weights import StoredWeights
    from lesionlite.train.model import load_run

    folder = origin.calibrated
    if folder is None:
        network, contract = load_run(origin.run)
        return Source(network, contract, origin.metadata)
    source = _source(replace(origin, calibrated=None))
    plan, integers = (
        Plan.read(folder / name) if (folder / name).exists() else None
        for name in (PLAN, INTEGER_PLAN)
    )
    rounder = StoredWeights(source.form(NCHW), folder)
    return replace(source, rounder=rounder, quantization=plan, integers=integers)


def _answer(line: str) -> Answer:
    asked, origin = json.loads(line)
    structure(asked, Conversion).convert(_source(structure(origin, Origin)))
    return {}


def main() -> None:
    """Convert what the parent process asks for, one after the other, on one thread.

    Two threads, which wait for each other while the parent uses a core, took up to four times as
    long.
    """
    from lesionlite.export.quantize.threads import pinned_threads

    with pinned_threads():
        serve(lambda progress: _answer)


if __name__ == "__main__":
    main()
