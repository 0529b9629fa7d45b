"""What a network gives on phones, before anyone trains it: convert it with random weights."""

import io
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionlite.console import track
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.config import FORMATS_BY_DEFAULT
from lesionlite.export.format import Format
from lesionlite.export.formats import find_format, install_line
from lesionlite.export.metadata import Metadata
from lesionlite.export.precision import PRECISIONS
from lesionlite.export.source import Source, example
from lesionlite.files import size_bytes
from lesionlite.train.config import TrainConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionlite.train.data.images import Pixels

CLASSES, IMAGES, THREADS = 14, 4, 2
PRECISION = "fp32"
PASSING = {  # operations that move values, and compute none
    *("Identity", "reshape", "permute", "transpose", "flatten", "getitem", "getattr", "to"),
    *("clone", "unbind", "split", "expand", "squeeze", "unsqueeze", "cat", "pad", "Concatenate"),
}
RIGHT, WRONG, REFUSED, ABSENT = "right", "wrong", "refused", "not installed"


@dataclass(frozen=True)
class Converted:
    """What one format makes of a network.

    Attributes:
        format: its name.
        outcome: `right` if the file predicts as PyTorch, else `wrong`; `refused` if there is no
            file; `not installed`.
        max_dp: largest |difference of probability| to PyTorch on drawn images, or None.
        size_bytes: of the file, or None.
        seconds: that the conversion took.
        sentence: why it is not right; else "".
    """

    format: str
    outcome: str
    max_dp: float | None
    size_bytes: int | None
    seconds: float
    sentence: str = ""


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
        formats: what each format makes of it, in fp32.
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
        return all(row.outcome in (RIGHT, ABSENT) for row in self.formats)


def check_network(
    model: str, side: int = 0, formats: Sequence[str] = FORMATS_BY_DEFAULT
) -> NetworkCheck:
    """Convert a network with random weights to each format, and compare the answers.

    Args:
        model: timm's name.
        side: of its input in pixels; 0 means its own.
        formats: names of formats.

    Raises:
        LesionliteError: timm has no such network, it cannot take images of this side, or it cannot
            be traced.
    """
    from lesionlite.export.forms.table import mobile_form
    from lesionlite.export.quantize.wiring import trace

    rows = [find_format(name) for name in formats]
    source, images, expected = _untrained(model, side)
    wiring = trace(mobile_form(source.network, source.contract), example(source.contract))
    macs = {name: node.macs for name, node in wiring.layers.items()}
    with TemporaryDirectory() as folder:
        made = tuple(
            _attempt(row, source, Path(folder), images, expected)
            for row in track(rows, f"converting {model}", len(rows))
        )
    return NetworkCheck(
        model=model,
        side=source.contract.side,
        parameters=sum(one.numel() for one in source.network.parameters()),
        macs=sum(macs.values()),
        layers={name: count for name, count in macs.items() if name not in wiring.heads},
        floats=_kinds(wiring),
        formats=made,
    )


def refuse_unfit(model: str, side: int, formats: Sequence[str]) -> None:
    """Refuse a network that a format refuses or computes wrongly, before it is trained.

    Raises:
        LesionliteError: as `check_network`; or naming the format and its reason.
    """
    for row in check_network(model, side, formats).formats:
        if row.outcome in (WRONG, REFUSED):
            rest = " ".join(name for name in formats if name != row.format)
            raise LesionliteError(
                f"{model} cannot be exported to {row.format}: {row.sentence}; train another "
                f"--model, or leave the format out: --formats {rest}"
            )


def _untrained(model: str, side: int) -> "tuple[Source, list[Pixels], list[NDArray[np.float32]]]":
    """A network with random weights, drawn images, and its answers to them.

    The norms are fitted to the images and the temperature to the logits. Without this, all answers
    would be nearly equal, and no fault of a file would show.
    """
    import torch

    from lesionlite.train.data.synthetic import DRAWN, draw
    from lesionlite.train.model import all_logits, predict_logits
    from lesionlite.train.networks import build_network

    labels = tuple(f"class {index}" for index in range(CLASSES))
    contract = TrainConfig(model=model, side=side).contract(labels)
    torch.manual_seed(0)
    network = build_network(model, CLASSES, side=contract.side)
    with torch.no_grad():  # biases and scales begin as zeros and ones, which converters drop
        for values in network.parameters():
            if values.numel() == max(values.shape):
                values.add_(torch.randn(values.shape), alpha=0.1)
    rng = np.random.default_rng(0)
    images = np.stack(
        [
            np.asarray(draw(index % len(DRAWN), rng, contract.side), np.uint8)
            for index in range(4 * IMAGES)
        ]
    )
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)
    with torch.no_grad():
        for _ in range(2):
            predict_logits(network.train(), batch, contract)
    network.eval().requires_grad_(False)
    logits = all_logits(network, images, contract)
    spread = float(np.ptp(logits, axis=1).mean()) or 1.0
    logits = logits[:IMAGES] * 4 / spread  # the likeliest class then has 0.2 to 0.8
    answers = torch.from_numpy(logits).softmax(1).numpy()
    described = Contract(**{**vars(contract), "temperature": spread / 4})
    return Source(network, described, Metadata()), list(images[:IMAGES]), list(answers)


def _attempt(
    row: Format,
    source: Source,
    folder: Path,
    images: "list[Pixels]",
    expected: "list[NDArray[np.float32]]",
) -> Converted:
    """Convert to one format and execute the file."""
    if line := install_line([row.name]):
        return Converted(row.name, ABSENT, None, None, 0.0, line)
    started, path = time.perf_counter(), folder / f"network{row.suffix}"
    try:
        with redirect_stderr(io.StringIO()):  # what toolchains print is in the exception, too
            row.toolchain().convert(source, {PRECISION: path})
            seconds = time.perf_counter() - started
            runner = row.toolchain().load(path, THREADS)
            found = [runner.classify(image) for image in images]
    except Exception as error:  # toolchains raise all kinds
        said = f"{type(error).__name__}: {_first_lines(error)}"
        return Converted(row.name, REFUSED, None, None, time.perf_counter() - started, said)
    apart = float(max(np.abs(a - b).max() for a, b in zip(found, expected, strict=True)))
    limit = PRECISIONS[PRECISION].max_mean_dp
    right = apart <= limit
    sentence = "" if right else f"a probability is off by {apart:.1e}; at most {limit:g} may be"
    size = size_bytes(path)
    return Converted(row.name, RIGHT if right else WRONG, apart, size, seconds, sentence)


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] or "no message"


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
