"""Round the weights of one layer to a palette: a few values, chosen so that its outputs stay.

k-means, in which a weight counts as much as its input varies, gives the first palette. Then the
weights are rounded to it, and the palette is fitted to the assignment by least squares, in turns.
`layer_rounding.py` defines the error that each step lowers or leaves.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lesionlite.export.quantize.weights.layer_rounding import (
    Nearest,
    damped,
    fed_back,
    swept,
    with_damped_variances,
)

SWEEPS = 2  # a third lowers the error by less than 2 %
MEANS_STEPS = 60
FITTED = 16  # larger palettes are fine enough without the fit by least squares


def to_palette(weight: Tensor, covariance: Tensor, bits: int) -> Tensor:
    """The weight with at most 2**bits different values, each of which fp16 holds exactly.

    Args:
        weight: float32 [O, ...], one row per output channel.
        covariance: float32 [G, K, K] of the K inputs that an output channel sums, for each group
            of output channels; or [G, K], the variances alone.
        bits: 8 or fewer.

    Returns:
        float32, of the weight's shape.
    """
    groups = len(covariance)
    rows = weight.reshape(groups, len(weight) // groups, -1)
    if covariance.dim() == 2:
        variance = damped(covariance)
        palette = _means(rows, variance[:, None].expand_as(rows), 2**bits)
        return palette[_nearest(rows, palette)].reshape(weight.shape)
    covariance = with_damped_variances(covariance)
    variance = covariance.diagonal(dim1=1, dim2=2)
    palette = _means(rows, variance[:, None].expand_as(rows), 2**bits)
    chosen = _nearest(fed_back(rows, covariance, _values_of(palette)), palette)
    for _ in range(SWEEPS):
        if len(palette) <= FITTED:
            palette = _fitted(rows, covariance, palette, chosen)
        made = swept(rows, covariance, palette[chosen], _values_of(palette))
        chosen = _nearest(made, palette)
    return palette[chosen].reshape(weight.shape)


def _values_of(palette: Tensor) -> Nearest:
    return lambda x, _: palette[_nearest(x, palette)]


def nearest_of_256(weight: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The weight, float32 [N], on 256 values that fp16 holds exactly, chosen without images."""
    rows = torch.from_numpy(weight)
    palette = _means(rows, torch.ones_like(rows), 256)
    rounded: np.ndarray[Any, Any] = palette[_nearest(rows, palette)].numpy()
    return rounded


def _means(rows: Tensor, counts: Tensor, size: int) -> Tensor:
    """A palette [size] in ascending order, by k-means with weighted values (Lloyd's algorithm)."""
    values, heavy = rows.flatten().double().numpy(), counts.flatten().double().numpy()
    order = np.argsort(values, kind="stable")
    values, heavy = values[order], heavy[order]
    # The best palettes are as dense as the cube root of the density of the values.
    gaps = np.diff(values, append=values[-1]) + 1e-12
    spread = np.concatenate([[0.0], np.cumsum(gaps ** (2 / 3) * heavy ** (1 / 3))])
    middles = (np.arange(size) + 0.5) / size * spread[-1]
    palette = np.interp(middles, spread[:-1], values)
    mass = np.concatenate([[0.0], np.cumsum(heavy)])
    moment = np.concatenate([[0.0], np.cumsum(heavy * values)])
    for _ in range(MEANS_STEPS):
        borders = np.searchsorted(values, (palette[1:] + palette[:-1]) / 2)
        ends = np.concatenate([[0], borders, [len(values)]])
        held = np.diff(mass[ends])
        palette = np.where(held > 0, np.diff(moment[ends]) / np.maximum(held, 1e-300), palette)
        palette.sort()
    return _storable(torch.from_numpy(palette))


def _storable(palette: Tensor) -> Tensor:
    return palette.half().float()


def _nearest(x: Tensor, palette: Tensor) -> Tensor:
    """Indices, of the shape of x, of the nearest values of an ascending palette."""
    return torch.bucketize(x.contiguous(), (palette[1:] + palette[:-1]) / 2)


def _fitted(rows: Tensor, covariance: Tensor, palette: Tensor, chosen: Tensor) -> Tensor:
    """The palette with the least error for these indices, if it is better and keeps its order."""
    size, flat = len(palette), chosen.flatten()
    left = torch.zeros(size).index_add_(0, flat, ((rows - palette[chosen]) @ covariance).flatten())
    both = torch.stack(
        [
            torch.zeros(size).index_add_(0, flat, ((chosen == one).float() @ covariance).flatten())
            for one in range(size)
        ]
    ).double()
    both.diagonal().add_(1e-4 * both.diagonal().mean())
    fitted = _storable(palette + torch.linalg.solve(both, left.double()).float())
    better = _error(rows, covariance, fitted[chosen]) < _error(rows, covariance, palette[chosen])
    return fitted if better and (fitted[1:] >= fitted[:-1]).all() else palette


def _error(rows: Tensor, covariance: Tensor, rounded: Tensor) -> float:
    error = rows - rounded
    return float(((error @ covariance) * error).sum())
