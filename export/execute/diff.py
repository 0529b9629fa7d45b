"""Compare two forms of one network layer by layer, to find where they begin to differ.

Tensors cannot be matched by name, because each converter makes up its own names. But both networks
compute nearly the same values in nearly the same order. So this module matches tensors of equal
shape, in any layout, by similarity, and keeps both orders (sequence alignment: Needleman and Wunsch
1970).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lesionlite.console import track
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.tensors import ReadTensors, Tensors, open_tensors
from lesionlite.train.data.images import Pixels, decode

if TYPE_CHECKING:
    from rich.table import Table

Array = NDArray[np.float32]
EXACT = 200.0  # dB: stands for infinity, for equal tensors
SAMPLE = 4096  # values of each tensor that the matching compares
WORST, AROUND = 8, 3  # rows shown: the worst, and before and after the first divergence
SAME_SHAPE = 0.5  # dB: least similarity of equal shapes, because a poor match beats none


@dataclass(frozen=True)
class LayerComparison:
    """One tensor of the first network and its counterpart in the second.

    Attributes:
        name: name in the first network.
        counterpart: name in the second; "" if there is none, for example because it was fused.
        shape: of the first tensor, without dimensions of length 1.
        sqnr: signal-to-quantization-noise ratio in dB over all images: 10 log10 (energy of the
            first tensor / energy of the difference), at most `EXACT`.
        max_abs: largest absolute difference; infinity if one of the tensors is not finite.
    """

    name: str
    counterpart: str
    shape: tuple[int, ...]
    sqnr: float | None = None
    max_abs: float | None = None


@dataclass(frozen=True)
class Difference:
    """The comparison of two networks.

    Attributes:
        layers: layers of the first network, in the order of execution; probabilities last.
        threshold: layers with a lower ratio, in dB, disagree.
        first_divergence: the first layer from which on all layers disagree; "" if the last layer
            agrees.
        images: the number of images.
    """

    layers: tuple[LayerComparison, ...]
    threshold: float
    first_divergence: str
    images: int


def diff(a: Path, b: Path, images: Sequence[Path], threshold: float) -> Difference:
    """Compare the intermediate tensors of two runs or artifacts.

    Args:
        a: the first run or artifact, usually the run.
        b: the second.
        images: image files. The first one decides which tensors match; ratios are over all.
        threshold: layers with a lower ratio, in dB, disagree.

    Raises:
        LesionliteError: there are no images or one cannot be decoded, the contracts differ, or a
            format hides its tensors.
    """
    if not np.isfinite(threshold):
        raise LesionliteError(f"--threshold is {threshold}; it must be a finite number, in dB")
    if not images:
        raise LesionliteError("no image is named; give one or more files after the two models")
    (read_a, contract), (read_b, other) = open_tensors(a, b), open_tensors(b, a)
    if contract != other:
        raise LesionliteError(f"{a} and {b} have different contracts; compare forms of one network")
    layers = _measure(read_a, read_b, images, contract)
    return Difference(layers, threshold, _first_divergence(layers, threshold), len(images))


def _measure(
    read_a: ReadTensors, read_b: ReadTensors, images: Sequence[Path], contract: Contract
) -> tuple[LayerComparison, ...]:
    inputs: Iterator[Pixels] = iter(
        track(decode(images, contract), "comparing layer by layer", len(images))
    )
    first = next(inputs)
    mine, theirs = read_a(first), read_b(first)
    pairs = match(mine, theirs)
    signal, noise, most = (dict.fromkeys(pairs, 0.0) for _ in range(3))
    while True:
        for name, (other, axes) in pairs.items():
            x, y = np.squeeze(mine[name]), np.squeeze(theirs[other]).transpose(axes)
            gap = x.astype(np.float64) - y
            signal[name] += float((x.astype(np.float64) ** 2).sum())
            noise[name] += float((gap**2).sum())
            largest = float(np.abs(gap).max()) if np.isfinite(gap).all() else np.inf
            most[name] = max(most[name], largest)
        following = next(inputs, None)
        if following is None:
            break
        mine, theirs = read_a(following), read_b(following)
    return tuple(
        LayerComparison(
            name, pairs[name][0], shape, decibels(signal[name], noise[name]), most[name]
        )
        if name in pairs
        else LayerComparison(name, "", shape)
        for name, shape in ((name, np.squeeze(x).shape) for name, x in mine.items())
    )


def decibels(signal: float, noise: float) -> float:
    """10 log10(signal / noise), between -`EXACT` and `EXACT`."""
    if not np.isfinite(noise):
        return -EXACT
    if noise == 0:
        return EXACT
    return float(np.clip(10 * np.log10(max(signal, 1e-300) / noise), -EXACT, EXACT))


def match(mine: Tensors, theirs: Tensors) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Match the tensors of two networks, in the order of both, for the largest total similarity.

    Returns:
        By the name of each matched tensor in `mine`: the name of its counterpart in `theirs`, and
        the order of axes that gives the counterpart the same layout.
    """
    names, others = list(mine), list(theirs)
    scores, axes = _similarity([mine[n] for n in names], [theirs[n] for n in others])
    best = np.zeros((len(names) + 1, len(others) + 1))
    for i in range(len(names)):
        with_pair = best[i, :-1] + scores[i]
        best[i + 1, 1:] = np.maximum.accumulate(np.maximum(best[i, 1:], with_pair))
    found = {}
    i, j = len(names), len(others)
    while i and j:
        if best[i, j] == best[i - 1, j]:
            i -= 1
        elif best[i, j] == best[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            found[names[i]] = (others[j], axes[i, j])
    return dict(reversed(found.items()))


def _similarity(
    mine: Sequence[Array], theirs: Sequence[Array]
) -> tuple[NDArray[np.float64], dict[tuple[int, int], tuple[int, ...]]]:
    """Each pair's similarity in dB, 0 if the shapes differ, and the order of axes that gives it."""
    scores = np.zeros((len(mine), len(theirs)))
    axes: dict[tuple[int, int], tuple[int, ...]] = {}
    layouts: dict[tuple[int, ...], list[tuple[int, tuple[int, ...], NDArray[np.float64]]]] = {}
    for j, y in enumerate(map(np.squeeze, theirs)):
        for order in _rotations(y.ndim):
            turned = y.transpose(order)
            layouts.setdefault(turned.shape, []).append((j, order, _sample(turned)))
    for i, x in enumerate(map(np.squeeze, mine)):
        seen = _sample(x)
        energy = float((seen**2).sum())
        for j, order, other in layouts.get(x.shape, ()):
            similarity = decibels(energy, float(((seen - other) ** 2).sum()))
            if (score := max(similarity, SAME_SHAPE)) > scores[i, j]:
                scores[i, j], axes[i, j] = score, order
    return scores, axes


def _rotations(dimensions: int) -> list[tuple[int, ...]]:
    """All rotations of the axes; one of them converts channels-last to channels-first."""
    axes = tuple(range(dimensions))
    return [axes[k:] + axes[:k] for k in range(max(dimensions, 1))]


def _sample(x: Array) -> NDArray[np.float64]:
    """Evenly spaced values, from the same positions in all tensors of one shape."""
    flat = x.reshape(-1)
    return flat[:: max(1, flat.size // SAMPLE)].astype(np.float64)


def table(difference: Difference, everything: bool) -> "Table":
    """A table of all layers, or of the worst ones and those around the first divergence."""
    from rich.table import Table

    layers = [layer for layer in difference.layers if layer.sqnr is not None]
    names = [layer.name for layer in layers]
    shown = set(names)
    if not everything:
        worst = sorted(layers, key=lambda layer: layer.sqnr or 0)[:WORST]
        shown = {layer.name for layer in worst} | {names[-1]}
        if difference.first_divergence:
            at = names.index(difference.first_divergence)
            shown |= set(names[max(0, at - AROUND) : at + AROUND])
    rows = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("layer", "shape", "SQNR dB", "max |Δ|"):
        rows.add_column(name, justify="left" if name == "layer" else "right", no_wrap=True)
    for layer in layers:
        if layer.name in shown:
            shape = "x".join(map(str, layer.shape))
            rows.add_row(layer.name, shape, f"{layer.sqnr:.1f}", f"{layer.max_abs:.1e}")
    return rows


def _first_divergence(layers: Sequence[LayerComparison], threshold: float) -> str:
    found = ""
    for layer in reversed(layers):
        if layer.sqnr is None:
            continue
        if layer.sqnr >= threshold:
            break
        found = layer.name
    return found
