"""Convert a run to the selected files, and list them in a manifest."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lesionlite.console import say
from lesionlite.contract import Contract
from lesionlite.documents import read_record
from lesionlite.export.config import ExportConfig
from lesionlite.export.conversion import conversions
from lesionlite.export.finite import refuse_infinite
from lesionlite.export.format import Format
from lesionlite.export.formats import artifact_name, refuse_missing_packages
from lesionlite.export.manifest import (
    CALIBRATION,
    GOLDEN,
    MANIFEST,
    Artifact,
    Manifest,
    sha256_text,
)
from lesionlite.export.planned import with_plans
from lesionlite.export.precision import PRECISIONS
from lesionlite.export.quantize.calibration import calibration_images
from lesionlite.export.quantize.plan import INTEGER_PLAN, PLAN, PLAN_FIGURE, Plan
from lesionlite.export.quantize.plan_figure import plan_figure
from lesionlite.export.side_by_side import SideBySide, most_jobs
from lesionlite.export.source import Source
from lesionlite.export.toolchains import versions
from lesionlite.files import inside, sha256_file, size_bytes, write_text
from lesionlite.layout import CONTRACT, SETTINGS, WEIGHTS
from lesionlite.outputs import refuse_foreign, writing_into
from lesionlite.train.model import load_run

if TYPE_CHECKING:
    from torch import Tensor

    from lesionlite.train.data.images import Pixels

PROBES = 8  # number of calibration images to check for finite answers


def export(run: Path, out: Path, config: ExportConfig, data: Path | None = None) -> list[Artifact]:
    """Write the selected artifacts and `manifest.json` into `out`.

    Args:
        run: run folder.
        out: folder to write to; artifacts of the same names are replaced.
        config: the formats, precisions and settings.
        data: data folder, whose train/ has the calibration images of w8a8, w6 and w4.

    Returns:
        The manifest's rows for the artifacts.

    Raises:
        LesionliteError: there is no run, its network has no mobile form or gives numbers that are
            not finite, a toolchain is not installed, or there are no calibration images.
    """
    with writing_into(out, RUN=run, DATA=data):
        return _export(run, out, config, data)


def _export(run: Path, out: Path, config: ExportConfig, data: Path | None) -> list[Artifact]:
    refuse_missing_packages(config.formats)
    network, contract = load_run(run)
    model = read_record(run / SETTINGS, _RunSettings, extra=True).model
    stem = inside(out, model, run / SETTINGS)
    for name in _names(stem, config):
        refuse_foreign(out / name)
    refuse_infinite(network, _probes(contract), contract, run)
    calibration, files = (
        calibration_images(config, contract, data)
        if config.calibrates(data is not None)
        else (None, [])
    )
    source = Source(network, contract, config.metadata(contract))
    if calibration is not None:
        import torch

        probes = torch.from_numpy(calibration[:PROBES]).permute(0, 3, 1, 2)
        refuse_infinite(network, probes, contract, run)
    source = _convert(source, run, calibration, config, stem)
    plan, integers = source.quantization, source.integers
    made = [
        _row(row, precision, _named(stem, row, precision), source.plan_of(precision))
        for row, precision in config.pairs()
    ]
    listing = "".join(f"{file}\n" for file in files)
    precisions = {row.precision for row in made}
    if calibration is not None:
        write_text(out / CALIBRATION, listing)
    if plan is not None and any(source.plan_of(name) is plan for name in precisions):
        plan.write(out / PLAN)
        plan_figure(plan, out / PLAN_FIGURE)
    if integers is not None:
        integers.write(out / INTEGER_PLAN)
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


@dataclass(frozen=True)
class _RunSettings:
    """The one setting of a run that an export reads."""

    model: str


def _names(stem: Path, config: ExportConfig) -> list[str]:
    """The names of all files that an export may write into its folder."""
    artifacts = [_named(stem, row, precision).name for row, precision in config.pairs()]
    planned = [CALIBRATION] if config.calibrates(has_data=True) else []
    planned += [PLAN, PLAN_FIGURE] if config.plans() else []
    planned += [INTEGER_PLAN] if config.has_integers() else []
    return [*artifacts, *planned, CONTRACT, MANIFEST, GOLDEN]


def _named(stem: Path, row: Format, precision: str) -> Path:
    return stem.with_name(artifact_name(stem.name, row, precision))


def _probes(contract: Contract) -> "Tensor":
    """A black image, a white one and a random one, uint8 [3, 3, S, S]: extreme inputs."""
    import torch

    shape = 1, 3, contract.side, contract.side
    noise = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0))
    return torch.cat([torch.zeros(shape), torch.full(shape, 255), noise]).to(torch.uint8)


def _convert(
    source: Source, run: Path, calibration: "Pixels | None", config: ExportConfig, stem: Path
) -> Source:
    """Write all files; return the source with its plans, which not all files need wait for."""
    files = [(row, precision, _named(stem, row, precision)) for row, precision in config.pairs()]
    has_images = calibration is not None
    floats = conversions(one for one in files if not PRECISIONS[one[1]].calibrates(has_images))
    others = conversions(one for one in files if PRECISIONS[one[1]].calibrates(has_images))
    jobs = most_jobs(config.jobs, len(floats) + len(others))
    with SideBySide(run, source, jobs) as conversion:
        conversion.start(floats, [one for one in others if one.learned], calibration)
        if calibration is not None:
            source = with_plans(source, calibration, config, {name for _, name, _ in files})
            _say_plan(source.quantization)
        conversion.finish(source, [one for one in others if not one.learned])
    return source


def _say_plan(plan: Plan | None) -> None:
    if plan is not None:
        say(
            f"plan: {len(plan.layers)} of {len(plan.macs)} layers in 8 bits "
            f"({plan.int8_share:.1%} of the multiply-adds); {plan.agreement:.1%} of the answers on "
            "the calibration images stay"
        )


def _row(row: Format, precision: str, path: Path, plan: Plan | None) -> Artifact:
    return Artifact(
        artifact=path.name,
        format=row.name,
        precision=precision,
        sha256=sha256_file(path),
        size_bytes=size_bytes(path),
        plan=sha256_text(plan.to_json()) if plan else None,
    )
