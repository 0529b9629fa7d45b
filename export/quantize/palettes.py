"""Round the weights of one layer to a palette: a few values, chosen so that its outputs stay.

A layer's squared error on its inputs x is e H e^T for each output channel, where e is the error of
the channel's weights and H the covariance of x. (The mean of x does no harm: the bias corrects it.)
Each step below lowers this error or leaves it:

1. k-means, in which a weight counts as much as its input varies, gives the first palette.
2. One input after the other is rounded, and the inputs not yet rounded make good for the error
   (GPTQ, Frantar et al. 2022, arXiv 2210.17323, eq. 2 and 3).
3. The palette is fitted to the assignment by least squares, and each weight goes to the value that
   is best given all others (coordinate descent), in turns.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

SWEEPS = 2  # a third lowers the error by less than 2 %
MEANS_STEPS = 60
DAMPING = 0.01  # of the mean variance is added to each variance, as in GPTQ
BLOCK = 128  # columns whose errors go to all others at once, which is faster
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
        variance = _damped(covariance)
        palette = _means(rows, variance[:, None].expand_as(rows), 2**bits)
        return palette[_nearest(rows, palette)].reshape(weight.shape)
    damped = covariance.clone()
    variance = damped.diagonal(dim1=1, dim2=2)
    variance.copy_(_damped(variance))
    palette = _means(rows, variance[:, None].expand_as(rows), 2**bits)
    chosen = _fed_back(rows, damped, palette)
    for _ in range(SWEEPS):
        if len(palette) <= FITTED:
            palette = _fitted(rows, damped, palette, chosen)
        chosen = _swept(rows, damped, palette, chosen)
    return palette[chosen].reshape(weight.shape)


def nearest_of_256(weight: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The weight, float32 [N], on 256 values that fp16 holds exactly, chosen without images."""
    rows = torch.from_numpy(weight)
    palette = _means(rows, torch.ones_like(rows), 256)
    rounded: np.ndarray[Any, Any] = palette[_nearest(rows, palette)].numpy()
    return rounded


def _damped(variance: Tensor) -> Tensor:
    """The variances [G, K], a little larger: none is 0 then."""
    mean = variance.mean(1, keepdim=True)
    return variance + DAMPING * mean + 1e-8 * mean.mean() + 1e-12


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


def _fed_back(rows: Tensor, covariance: Tensor, palette: Tensor) -> Tensor:
    """Indices [G, O, K] into the palette, by GPTQ."""
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(covariance.double()))
    upper = torch.linalg.cholesky(inverse, upper=True).float()
    left, chosen = rows.clone(), torch.empty(rows.shape, dtype=torch.int64)
    for start in range(0, rows.shape[2], BLOCK):
        stop = min(start + BLOCK, rows.shape[2])
        errors = torch.empty_like(left[:, :, start:stop])
        for at in range(start, stop):
            chosen[:, :, at] = _nearest(left[:, :, at], palette)
            row = upper[:, None, at, at:stop]
            error = (left[:, :, at] - palette[chosen[:, :, at]]) / row[:, :, 0]
            left[:, :, at:stop] -= error[:, :, None] * row
            errors[:, :, at - start] = error
        left[:, :, stop:] -= errors @ upper[:, start:stop, stop:]
    return chosen


def _swept(rows: Tensor, covariance: Tensor, palette: Tensor, chosen: Tensor) -> Tensor:
    """Better indices: each weight once goes to the value that is best given all others."""
    now, chosen = palette[chosen], chosen.clone()
    pull = (rows - now) @ covariance  # minus half the gradient of the error
    for start in range(0, rows.shape[2], BLOCK):
        stop = min(start + BLOCK, rows.shape[2])
        block = covariance[:, start:stop, start:stop]
        moved, inside = torch.zeros_like(now[:, :, start:stop]), pull[:, :, start:stop].clone()
        for at in range(stop - start):
            old = now[:, :, start + at]
            best = _nearest(old + inside[:, :, at] / block[:, None, at, at], palette)
            moved[:, :, at] = palette[best] - old
            chosen[:, :, start + at] = best
            inside -= moved[:, :, at, None] * block[:, None, at]
        pull -= moved @ covariance[:, start:stop]
    return chosen


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
