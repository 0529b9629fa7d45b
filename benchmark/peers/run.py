"""Compare our artifacts with each toolchain's default export of the same network.

Every file is open in a process of its own. Our files, the defaults, and the matrix products that
set the physical limit take turns in short bursts, once per number of threads.
"""

import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from lesionlite.benchmark.candidate import Candidate, CandidateFailed
from lesionlite.benchmark.config import PeersConfig, Takes
from lesionlite.benchmark.peers.comparison import Comparison
from lesionlite.benchmark.peers.defaults import CONVERT, DEFAULTS, Default, input_of
from lesionlite.benchmark.peers.foreign import noise
from lesionlite.benchmark.peers.limit import network_multiply_adds
from lesionlite.benchmark.peers.rounds import File, Query, counts, time_round
from lesionlite.benchmark.report.machine import machine
from lesionlite.console import progress
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError, first_line, unknown_choice
from lesionlite.export.format import named_function
from lesionlite.export.formats import FORMATS
from lesionlite.export.manifest import CALIBRATION, MANIFEST, Manifest, read_manifest
from lesionlite.export.mil.count import Work
from lesionlite.export.precision import PRECISIONS
from lesionlite.export.quantize.calibration import choose
from lesionlite.export.quiet import quiet
from lesionlite.files import below, replacing, sha256_file, size_bytes
from lesionlite.layout import WEIGHTS
from lesionlite.outputs import refuse_foreign, writing_into
from lesionlite.train.data.images import load_inputs
from lesionlite.train.data.splits import drop_bad, read_split
from lesionlite.train.model import load_run
from lesionlite.verdicts import PEERS_FOLDER, PEERS_JSON, PEERS_MD

Ours = dict[tuple[str, str], File]


def peers(
    artifacts: Path, run: Path, data: Path | None, config: PeersConfig, out: Path
) -> Comparison:
    """Compare the artifacts of a folder with the toolchains' defaults.

    Args:
        artifacts: Folder that `export` wrote.
        run: The run that they were made from.
        data: Data folder whose train/ calibrates the 8-bit defaults; None leaves them out.
        config: Protocol.
        out: Folder; the default exports stay in its subfolder `defaults`.

    Returns:
        The comparison, not yet written.

    Raises:
        LesionliteError: No artifacts, no run, artifacts of another run, or no limit to measure.
    """
    inputs = {"RUN": run, "DATA": data, "ARTIFACTS": artifacts}
    if out.resolve() == artifacts.resolve():
        del inputs["ARTIFACTS"]
    with writing_into(out, **inputs):
        for name in (PEERS_JSON, PEERS_MD):
            refuse_foreign(out / name)
        return _peers(artifacts, run, data, config, out)


def _peers(
    artifacts: Path, run: Path, data: Path | None, config: PeersConfig, out: Path
) -> Comparison:
    network, contract = load_run(run)
    ours = _ours(artifacts, run, config)
    formats = config.formats or tuple(dict.fromkeys(name for name, _ in ours))
    selected = [row for row in DEFAULTS.values() if row.format in formats]
    products = network_multiply_adds(network, contract)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        files = _calibration_files(artifacts, data, selected, contract, config.calibration)
        images = None
        if files:
            images = scratch / "calibration.npy"
            np.save(images, load_inputs(files, contract, "reading calibration images"))
        defaults = _convert_all(selected, ours, run, images, config.takes, out / PEERS_FOLDER)
        given = input_of(config.takes, contract.side)
        query = Query(scratch / "image.npy", *given, products)
        np.save(query.images, noise((1, contract.side, contract.side, 3), np.uint8))
        rounds = tuple(
            time_round(threads, list(ours.values()), list(defaults.values()), query, config)
            for threads in sorted(set(config.threads))
        )
    here = machine(max(config.threads))
    return Comparison(ours, defaults, rounds, products, config.takes, here, contract.note)


def _ours(artifacts: Path, run: Path, config: PeersConfig) -> Ours:
    """The artifacts of the manifest, by format and precision."""
    known = dict.fromkeys([*FORMATS, *(row.format for row in DEFAULTS.values())])
    for name in config.formats:
        if name not in known:
            raise unknown_choice("format", name, known)
    rows = read_manifest(artifacts)
    if not artifacts.is_dir():
        raise LesionliteError(f"{artifacts} is one artifact; give the folder that it lies in")
    if Manifest.read(artifacts).checkpoint_sha256 != sha256_file(run / WEIGHTS):
        raise LesionliteError(f"{artifacts} was not made from {run}; export the run again")
    return {
        (row.format, row.precision): _file(artifacts / row.artifact)
        for row in rows
        if not config.formats or row.format in config.formats
    }


def _file(path: Path) -> File:
    """A file, with its counted work if it cannot be timed."""
    if not path.exists():
        return File(path, None, reason=f"there is no {path.name}")
    work, reason = _work(path, counter) if (counter := counts(path)) else (None, "")
    return File(path, size_bytes(path), work, reason)


def _work(path: Path, counter: str) -> tuple[Work | None, str]:
    try:
        with quiet():
            return named_function(counter)(path), ""
    except LesionliteError as error:
        return None, first_line(error)


def _calibration_files(
    artifacts: Path, data: Path | None, selected: list[Default], contract: Contract, images: int
) -> list[Path]:
    """Some of our calibration images, spread over their list.

    Few are enough: ranges do not change how long a file takes, and PT2E's default observers need
    minutes for 300 images.
    """
    if data is None or not any(PRECISIONS[row.precision].calibrated for row in selected):
        return []
    listed = artifacts / CALIBRATION
    if not listed.is_file():  # nothing of ours was calibrated
        (split,), _ = drop_bad([read_split(data / "train", contract.labels)], True)
        return choose(split, images, seed=0)
    if sha256_file(listed) != Manifest.read(artifacts).calibration_sha256:
        raise LesionliteError(f"{listed} is not the one that {MANIFEST} lists; export again")
    rows = [name for name in listed.read_text(encoding="utf-8").split("\n") if name]
    files = [below(data, name, listed) for name in rows]
    if missing := [file for file in files if not file.is_file()]:
        raise LesionliteError(
            f"{listed} names {missing[0]}, which is not there: give the --data of the export"
        )
    return files[:: max(1, len(files) // images)][:images]


def _convert_all(
    selected: list[Default],
    ours: Ours,
    run: Path,
    images: Path | None,
    takes: Takes,
    folder: Path,
) -> dict[str, File]:
    """Write every default export in a process of its own; an error becomes the file's reason."""
    made = {}
    with progress() as bar:
        task = bar.add_task("default exports", total=len(selected), note="")
        for row in selected:
            bar.update(task, note=row.name)
            made[row.name] = _convert(row, ours, run, images, takes, folder)
            bar.advance(task)
        bar.update(task, note="")
    return made


def _convert(
    row: Default,
    ours: Mapping[tuple[str, str], File],
    run: Path,
    images: Path | None,
    takes: Takes,
    folder: Path,
) -> File:
    path = folder / f"{row.name}{row.suffix}"
    if find_spec(row.package) is None:
        return File(path, None, reason=f"not installed: {row.package}")
    own = ours.get((row.format, "fp32"))
    try:
        with replacing(path) as temporary, Candidate(temporary, 1) as process:
            process.call(
                CONVERT,
                name=row.name,
                path=temporary,
                run=run,
                images=images,
                ours=own and own.path,
                takes=takes,
            )
    except CandidateFailed as error:
        return File(path, None, reason=f"refused: {first_line(error)}")
    return _file(path)
