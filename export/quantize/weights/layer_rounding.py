"""Round the weights of one layer to values that are allowed, such that its outputs stay.

A layer's squared error on its inputs x is e H e^T for each output channel, where e is the error of
the channel's weights and H the covariance of x. (The mean of x does no harm: the bias corrects it.)
Both steps below lower this error:

1. One input after the other is rounded, and the inputs not yet rounded make good for the error
   (GPTQ, Frantar et al. 2022, arXiv 2210.17323, eq. 2 and 3).
2. Each weight goes to the value that is best given all others (coordinate descent).
"""

from collections.abc import Callable

import torch
from torch import Tensor

DAMPING = 0.01  # of the mean variance is added to each variance, as in GPTQ
BLOCK = 128  # columns whose errors go to all others at once, which is faster

Nearest = Callable[[Tensor, int], Tensor]
"""The allowed values nearest to some [G, O], which are of one input: its index."""


def damped(variance: Tensor) -> Tensor:
    """Variances [G, K], a little larger: none is 0 then."""
    mean = variance.mean(1, keepdim=True)
    return variance + DAMPING * mean + 1e-8 * mean.mean() + 1e-12


def with_damped_variances(covariance: Tensor) -> Tensor:
    """A covariance [G, K, K] with `damped` variances; it is positive definite then."""
    made = covariance.clone()
    variance = made.diagonal(dim1=1, dim2=2)
    variance.copy_(damped(variance))
    return made


def fed_back(rows: Tensor, covariance: Tensor, nearest: Nearest) -> Tensor:
    """Weights [G, O, K] on allowed values, by GPTQ; see the steps above."""
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(covariance.double()))
    upper = torch.linalg.cholesky(inverse, upper=True).float()
    left, made = rows.clone(), torch.empty_like(rows)
    for start in range(0, rows.shape[2], BLOCK):
        stop = min(start + BLOCK, rows.shape[2])
        errors = torch.empty_like(left[:, :, start:stop])
        for at in range(start, stop):
            made[:, :, at] = nearest(left[:, :, at], at)
            row = upper[:, None, at, at:stop]
            error = (left[:, :, at] - made[:, :, at]) / row[:, :, 0]
            left[:, :, at:stop] -= error[:, :, None] * row
            errors[:, :, at - start] = error
        left[:, :, stop:] -= errors @ upper[:, start:stop, stop:]
    return made


def swept(rows: Tensor, covariance: Tensor, now: Tensor, nearest: Nearest) -> Tensor:
    """Better weights than `now`: each once goes to the value that is best given all others."""
    made = now.clone()
    pull = (rows - now) @ covariance  # minus half the gradient of the error
    for start in range(0, rows.shape[2], BLOCK):
        stop = min(start + BLOCK, rows.shape[2])
        block = covariance[:, start:stop, start:stop]
        moved, inside = torch.zeros_like(now[:, :, start:stop]), pull[:, :, start:stop].clone()
        for at in range(stop - start):
            old = now[:, :, start + at]
            wanted = old + inside[:, :, at] / block[:, None, at, at]
            made[:, :, start + at] = nearest(wanted, start + at)
            moved[:, :, at] = made[:, :, start + at] - old
            inside -= moved[:, :, at, None] * block[:, None, at]
        pull -= moved @ covariance[:, start:stop]
    return made
