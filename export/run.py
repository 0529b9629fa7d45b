"""Convert one run to every selected file, and list them in a manifest."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.calibration import choose
from export.config import ExportConfig
from export.formats import FORMATS, Format, format_of
from train.console import progress
from train.contract import Contract
from train.data import Pixels, find_bad, load_inputs, read_split
from train.errors import LesionliteError
from train.files import read_json, replacing, sha256_file, size_bytes, write_json, write_text
from train.layout import SETTINGS, WEIGHTS
from train.model import load_run

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Artifact:
    """One row of the manifest."""

    artifact: str
    format: str
    precision: str
    sha256: str
    size_bytes: int


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
    made: list[Artifact] = []
    by_format: dict[str, list[str]] = {}
    for row, precision in config.pairs():
        by_format.setdefault(row.name, []).append(precision)
    with progress() as bar:
        task = bar.add_task("converting", total=len(config.pairs()), note="")
        for name, precisions in by_format.items():
            bar.update(task, note=name)
            paths = {p: out / f"{model}-{p}{FORMATS[name].suffix}" for p in precisions}
            _convert(FORMATS[name], network, contract, calibration, paths)
            made += [
                Artifact(path.name, name, precision, sha256_file(path), size_bytes(path))
                for precision, path in paths.items()
            ]
            bar.advance(task, len(paths))
        bar.update(task, note="")
    if files:
        write_text(out / "calibration.txt", "\n".join(files) + "\n")
    write_text(out / "contract.json", contract.to_json())
    write_json(
        out / MANIFEST,
        {
            "model": model,
            "checkpoint_sha256": sha256_file(run / WEIGHTS),
            "calibration_images": len(files),
            "artifacts": [vars(row) for row in made],
        },
    )
    return made


def _convert(
    row: Format,
    network: Any,
    contract: Contract,
    calibration: Pixels | None,
    paths: dict[str, Path],
) -> None:
    """Convert to temporary names, which take their places when all have succeeded."""
    with ExitStack() as stack:
        temporary = {p: stack.enter_context(replacing(path)) for p, path in paths.items()}
        row.toolchain().convert(network, contract, calibration, temporary)


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


def read_manifest(folder: Path) -> list[Artifact]:
    """The artifacts in `folder`, or the one artifact if the path is one.

    Raises:
        LesionliteError: if there is no folder or nothing was exported into it.
    """
    if any(folder.suffix == row.suffix for row in FORMATS.values()):
        siblings = read_json(folder.parent / MANIFEST)
        format_of(folder)
        rows = [row for row in _rows(siblings) if row.artifact == folder.name]
        if not rows:
            raise LesionliteError(f"{folder.parent} has no {MANIFEST} that lists {folder.name}")
        return rows
    if not folder.is_dir():
        raise LesionliteError(f"there is no folder {folder}")
    rows = _rows(read_json(folder / MANIFEST))
    if not rows:
        raise LesionliteError(
            f"{folder} holds no exported artifacts ({MANIFEST} is missing or empty); "
            "make them with `lesionlite export`"
        )
    return rows


def _rows(manifest: Any) -> list[Artifact]:
    try:
        return [Artifact(**row) for row in manifest["artifacts"]]
    except (TypeError, KeyError):
        return []
