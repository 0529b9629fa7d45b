"""Convert one run to every selected file, and list them in a manifest."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from export.calibration import choose
from export.config import ExportConfig
from export.formats import FORMATS, Format
from export.manifest import CALIBRATION, Artifact, Manifest, sha256_text
from export.metadata import Metadata
from export.toolchains import versions
from train.console import progress
from train.contract import Contract
from train.data import Pixels, find_bad, load_inputs, read_split
from train.errors import LesionliteError
from train.files import read_json, replacing, sha256_file, size_bytes, write_text
from train.layout import CONTRACT, SETTINGS, WEIGHTS
from train.model import load_run


def export(run: Path, out: Path, config: ExportConfig, data: Path | None = None) -> list[Artifact]:
    """Write the selected artifacts and `manifest.json` into `out`.

    Args:
        run: folder of a trained network.
        out: folder to write; artifacts of the same names are replaced.
        config: which formats and precisions.
        data: data folder whose train/ gives the calibration images.

    Raises:
        LesionliteError: no run, or w8a8 asked for without images to calibrate on.
    """
    if out.exists() and not out.is_dir():
        raise LesionliteError(f"{out} is a file; --out must be a folder")
    network, contract = load_run(run)
    calibration, files = _calibration(config, contract, data)
    model = read_json(run / SETTINGS)["model"]
    made = _convert_all(config, network, contract, calibration, out / model)
    listing = "".join(f"{file}\n" for file in files)
    if files:
        write_text(out / CALIBRATION, listing)
    write_text(out / CONTRACT, contract.to_json())
    Manifest(
        model=model,
        checkpoint_sha256=sha256_file(run / WEIGHTS),
        contract_sha256=sha256_text(contract.to_json()),
        calibration_sha256=sha256_text(listing) if files else None,
        calibration_images=len(files),
        toolchains=versions(),
        artifacts=tuple(made),
    ).write(out)
    return made


def _convert_all(
    config: ExportConfig,
    network: Any,
    contract: Contract,
    calibration: Pixels | None,
    stem: Path,
) -> list[Artifact]:
    """Convert format by format to `stem`-PRECISION.SUFFIX; the rows of what was made."""
    metadata = config.metadata(contract)
    made: list[Artifact] = []
    by_format: dict[str, list[str]] = {}
    for row, precision in config.pairs():
        by_format.setdefault(row.name, []).append(precision)
    with progress() as bar:
        task = bar.add_task("converting", total=len(config.pairs()), note="")
        for name, precisions in by_format.items():
            bar.update(task, note=name)
            paths = {
                p: stem.with_name(f"{stem.name}-{p}{FORMATS[name].suffix}") for p in precisions
            }
            _convert(FORMATS[name], network, contract, calibration, paths, metadata)
            made += [
                Artifact(path.name, name, precision, sha256_file(path), size_bytes(path))
                for precision, path in paths.items()
            ]
            bar.advance(task, len(paths))
        bar.update(task, note="")
    return made


def _convert(
    row: Format,
    network: Any,
    contract: Contract,
    calibration: Pixels | None,
    paths: dict[str, Path],
    metadata: Metadata,
) -> None:
    """Convert to temporary names, which take their places when all have succeeded."""
    with ExitStack() as stack:
        temporary = {p: stack.enter_context(replacing(path)) for p, path in paths.items()}
        row.toolchain().convert(network, contract, calibration, temporary, metadata)


def _calibration(
    config: ExportConfig, contract: Contract, data: Path | None
) -> tuple[Pixels | None, list[str]]:
    """The calibration images, and their names relative to the data folder."""
    if not config.calibrates():
        return None, []
    if data is None:
        raise LesionliteError(
            "w8a8 needs images to calibrate on: add --data FOLDER (with train/ in it), "
            "or leave w8a8 out with --precisions fp32 fp16 w8"
        )
    split = read_split(data / "train", contract.labels)
    files = choose(split, config.calibration, config.calibration_seed)
    bad = find_bad(files)
    if bad:
        split = split.without(find_bad(split.files))
        files = choose(split, config.calibration, config.calibration_seed)
    pixels = load_inputs(files, contract, "reading calibration images")
    return pixels, [file.relative_to(data).as_posix() for file in files]
