"""Time the files of all networks, so that only the networks differ.

The files of one format take turns, each in a process of its own.
"""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lesionlite.benchmark.candidate import Candidate
from lesionlite.benchmark.compare.artifacts import Made
from lesionlite.benchmark.compare.config import CompareConfig
from lesionlite.benchmark.latency import Latency, measure
from lesionlite.benchmark.places import ARTIFACTS
from lesionlite.console import track
from lesionlite.contract import Contract
from lesionlite.documents import read_json, read_record
from lesionlite.export.check.untrained import drawn_images
from lesionlite.export.manifest import MANIFEST
from lesionlite.export.toolchains import versions
from lesionlite.files import fingerprint, sha256_file, write_json

LATENCY = "latency.json"


@dataclass(frozen=True)
class Times:
    """The latencies of a comparison.

    Attributes:
        key: A fingerprint of the files and of the protocol.
        by_file: Latency by value, then by file name.
    """

    key: str
    by_file: dict[str, dict[str, Latency]]


class _Timed:
    """A candidate with an image of its own side."""

    def __init__(self, candidate: Candidate, image: Path) -> None:
        self.candidate, self.image, self.path = candidate, image, candidate.path

    def burst(self, images: Path, seconds: float) -> list[float]:
        """Query for about `seconds`, whatever `images` holds; times in milliseconds."""
        return self.candidate.burst(self.image, seconds)


def time_files(made: dict[str, Made], config: CompareConfig, out: Path) -> Times:
    """Time every file that a native runtime executes here; kept if nothing has changed.

    Args:
        made: By value.
        config: Threads, and seconds per file.
        out: Folder of the comparison.
    """
    built = {value: one for value, one in made.items() if one.report is not None}
    hashes = {v: sha256_file(one.folder / ARTIFACTS / MANIFEST) for v, one in built.items()}
    key = fingerprint([hashes, config.threads, config.seconds, versions()])
    if read_json(out / LATENCY) is not None:
        before = read_record(out / LATENCY, Times, advice="delete it")
        if before.key == key:
            return before
    times: dict[str, dict[str, Latency]] = {value: {} for value in built}
    for name in config.formats:
        files = [
            (value, one.folder / ARTIFACTS / row["artifact"])
            for value, one in built.items()
            for row in (one.report or {})["rows"]
            if row["format"] == name and row["latency_ms"]
        ]
        for (value, file), latency in zip(files, _take_turns(files, config, name), strict=True):
            times[value][file.name] = latency
    found = Times(key, times)
    write_json(out / LATENCY, asdict(found))
    return found


def _take_turns(files: list[tuple[str, Path]], config: CompareConfig, name: str) -> list[Latency]:
    """The latencies of files of one format, in their order."""
    if not files:
        return []
    with ExitStack() as stack, TemporaryDirectory() as folder:
        timed = []
        for _, file in track(files, f"warming up {name}", len(files)):
            candidate = stack.enter_context(Candidate(file, config.threads))
            candidate.open()
            image = _image(Contract.from_json(candidate.contract), Path(folder))
            candidate.warm_up(image, config.seconds)
            timed.append(_Timed(candidate, image))
        return measure(timed, timed[0].image, 1, config.seconds, f"latency, {name}")


def _image(contract: Contract, folder: Path) -> Path:
    """A .npy file with one drawn image, uint8 [1, S, S, 3]."""
    file = folder / f"{contract.side}.npy"
    if not file.exists():
        np.save(file, drawn_images(1, contract.side, seed=0))
    return file
