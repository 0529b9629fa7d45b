"""What a network gives on phones, before anyone trains it: convert it with random weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lesionlite.console import track
from lesionlite.errors import LesionliteError
from lesionlite.export.check.attempt import Converted, Task, attempt
from lesionlite.export.check.simulated import limit, simulate
from lesionlite.export.check.untrained import drawn_images, untrained
from lesionlite.export.config import FORMATS_BY_DEFAULT, ExportConfig
from lesionlite.export.format import Format
from lesionlite.export.planned import with_plans
from lesionlite.export.precision import PRECISIONS
from lesionlite.export.source import Source, example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lesionlite.train.data.images import Pixels

PRECISIONS_BY_DEFAULT = ("fp32",)
CALIBRATION = 25  # number of drawn images for a quick plan
PASSING = {  # operations that move values, and compute none
    *("Identity", "reshape", "permute", "transpose", "flatten", "getitem", "getattr", "to"),
    *("clone", "unbind", "split", "expand", "squeeze", "unsqueeze", "cat", "pad", "Concatenate"),
}


@dataclass(frozen=True)
class NetworkCheck:
    """What a network gives on phones.

    Attributes:
        model: timm's name.
        side: of its input in pixels.
        parameters: number of its weights, with a last layer of 14 classes.
        macs: multiply-adds for one image.
        layers: its convolutions and linear layers that w8a8 may take, and their multiply-adds.
        floats: the kinds of other operations, which w8a8 leaves in float, and how many there are.
        formats: what each format makes of it, in each precision.
    """

    model: str
    side: int
    parameters: int
    macs: int
    layers: dict[str, int]
    floats: dict[str, int]
    formats: tuple[Converted, ...]

    @property
    def passed(self) -> bool:
        """Whether no format refuses the network or predicts something else."""
        return not any(row.failed for row in self.formats)


def check_network(
    model: str,
    side: int = 0,
    formats: Sequence[str] = FORMATS_BY_DEFAULT,
    precisions: Sequence[str] = PRECISIONS_BY_DEFAULT,
) -> NetworkCheck:
    """Convert a network with random weights to each format, and compare the answers.

    Calibrated precisions get a quick plan: few drawn images, and no tuning.

    Args:
        model: timm's name.
        side: of its input in pixels; 0 means its own.
        formats: names of formats.
        precisions: names of precisions; each format is written in those that it has.

    Raises:
        LesionliteError: unknown names, a selection that makes no files, timm has no such network,
            it cannot take images of this side, or it cannot be traced.
    """
    from lesionlite.export.forms.table import mobile_form
    from lesionlite.export.quantize.wiring import trace

    pairs = ExportConfig(tuple(formats), tuple(precisions)).pairs()
    source, images, expected = untrained(model, side)
    form = mobile_form(source.network, source.contract)
    wiring = trace(form, example(source.contract))
    macs = {name: node.macs for name, node in wiring.layers.items()}
    task = _task(source, form, images, expected, {precision for _, precision in pairs})
    return NetworkCheck(
        model=model,
        side=source.contract.side,
        parameters=sum(one.numel() for one in source.network.parameters()),
        macs=sum(macs.values()),
        layers={name: count for name, count in macs.items() if name not in wiring.heads},
        floats=_kinds(wiring),
        formats=tuple(_attempts(task, pairs)),
    )


def refuse_unfit(model: str, side: int, formats: Sequence[str]) -> None:
    """Refuse a network that a format refuses or computes wrongly, before it is trained.

    Raises:
        LesionliteError: as `check_network`; or naming the format and its reason.
    """
    for row in check_network(model, side, formats).formats:
        if row.failed:
            rest = " ".join(name for name in formats if name != row.format)
            raise LesionliteError(
                f"{model} cannot be exported to {row.format}: {row.sentence}; train another "
                f"--model, or leave the format out: --formats {rest}"
            )


def _attempts(task: Task, pairs: Sequence[tuple[Format, str]]) -> list[Converted]:
    rows = {row.name: row for row, _ in pairs}
    found: list[Converted] = []
    for name in track(list(rows), "converting", len(rows)):
        precisions = [precision for row, precision in pairs if row.name == name]
        found += attempt(rows[name], task, precisions)
    return found


def _task(
    source: Source,
    form: Any,
    images: "Pixels",
    expected: "NDArray[np.float32]",
    precisions: set[str],
) -> Task:
    """The task, with a plan for each calibrated precision, and the answers of its simulation."""
    from lesionlite.export.forms.attention import NCHW

    planned = _planned(source, precisions)
    followed = {name: plan for name in precisions if (plan := planned.plan_of(name))}
    found = {
        name: simulate(planned.to_quantize(NCHW, plan.layers), plan, images)
        for name, plan in followed.items()
    }
    floats = precisions - followed.keys()
    _, moved = simulate(form, None, images) if floats - {"fp32"} else (None, 0.0)
    limits = {name: limit(name, found[name][1] if name in found else moved) for name in precisions}
    simulated = {name: answers for name, (answers, _) in found.items()}
    return Task(planned, images, expected, simulated, limits)


def _planned(source: Source, precisions: set[str]) -> Source:
    """The source, with calibration images and quick plans for the precisions that need them."""
    if not any(PRECISIONS[name].needs_images for name in precisions):
        return source
    calibration = drawn_images(CALIBRATION, source.contract.side, seed=1)
    return with_plans(source, calibration, ExportConfig(tuning_steps=0), precisions)


def _kinds(wiring: Any) -> dict[str, int]:
    """How many operations of each kind w8a8 leaves in float."""
    taken = {*wiring.layers, *(node.clipping for node in wiring.layers.values()), *wiring.silus()}
    modules = dict(wiring.program.named_modules())
    counts: dict[str, int] = {}
    for node in wiring.program.graph.nodes:
        if node.op == "call_module" and str(node.target) not in taken:
            kind = type(modules[str(node.target)]).__name__
        elif node.op in ("call_function", "call_method"):
            kind = getattr(node.target, "__name__", str(node.target)).split(".")[0]
        else:
            continue
        if kind not in PASSING:
            counts[kind] = counts.get(kind, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
