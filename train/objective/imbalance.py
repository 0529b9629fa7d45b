"""How rare classes are favoured in training, and for how frequent classes it then answers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Imbalance = Literal["dual", "sampler", "loss", "balanced-softmax", "refit", "none"]


@dataclass(frozen=True)
class Favour:
    """What a mode of `--imbalance` does.

    Attributes:
        samples: images of rare classes are drawn more often; see `sampling_weights`.
        weighs: they count more in the loss; see `ens_weights`.
        adds_prior: the loss adds `log_prior` to the logits.
        refits: after training, the head is fitted anew, as if `dual` had trained it.
    """

    samples: bool = False
    weighs: bool = False
    adds_prior: bool = False
    refits: bool = False


MODES: dict[str, Favour] = {
    "dual": Favour(samples=True, weighs=True),
    "sampler": Favour(samples=True),
    "loss": Favour(weighs=True),
    "balanced-softmax": Favour(adds_prior=True),
    "refit": Favour(samples=True, refits=True),
    "none": Favour(),
}


def sampling_weights(counts: Sequence[int]) -> list[float]:
    """Sampling weight of each image of a class: 1 / sqrt(count), 0 for an empty class.

    A class of n images is then sampled in proportion to n / sqrt(n) = sqrt(n): rare classes more
    often than they occur, but not so often that the network overfits their few images.

    Args:
        counts: images per class, [C].

    Returns:
        One weight per class, [C], not normalized.
    """
    return [count**-0.5 if count else 0.0 for count in counts]


def ens_weights(counts: Sequence[int], beta: float = 0.999) -> list[float]:
    """Loss weights by the effective number of samples (Cui et al. 2019, eq. 2 and 4).

    Class c with n_c images has weight (1 - beta) / (1 - beta^n_c). The weights are then scaled so
    that they average 1 over the classes with images. An empty class has weight 0.

    Args:
        counts: images per class, [C].
        beta: 0 gives all classes equal weight; near 1, weights approach inverse frequency.

    Returns:
        One weight per class, [C].

    Raises:
        ValueError: if beta is outside 0..1 or every class is empty.
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta is {beta}; it must be from 0 up to, not including, 1")
    present = sum(1 for count in counts if count)
    if not present:
        raise ValueError("every class is empty")
    raw = [(1 - beta) / (1 - beta**count) if count else 0.0 for count in counts]
    scale = present / sum(raw)
    return [weight * scale for weight in raw]


def log_prior(counts: Sequence[int]) -> list[float]:
    """Log of the share of each class [C], which the balanced softmax adds to the logits.

    A network trained so answers as if all classes were equally frequent (Ren et al. 2020, arXiv
    2007.10740, eq. 4). An empty class counts as one image.
    """
    return [math.log(max(count, 1) / sum(counts)) for count in counts]


def effective_prior(counts: Sequence[int], imbalance: str, beta: float) -> tuple[float, ...]:
    """Share of each class in what the loss sees: how often it is drawn, times its weight.

    A network that is trained so answers as if classes were this frequent (Menon et al. 2021, arXiv
    2007.07314, section 3).

    Args:
        counts: images per class, [C].
        imbalance: a key of `MODES`.
        beta: of the loss weights.

    Returns:
        One share per class, [C]; they add up to 1, and that of an empty class is 0.

    Raises:
        ValueError: as `ens_weights`.
    """
    mode = MODES["dual"] if MODES[imbalance].refits else MODES[imbalance]
    drawn = sampling_weights(counts) if mode.samples else [1.0] * len(counts)
    loss = ens_weights(counts, beta) if mode.weighs else [1.0] * len(counts)
    seen = [n * rate * weight for n, rate, weight in zip(counts, drawn, loss, strict=True)]
    if mode.adds_prior:
        seen = [float(n > 0) for n in counts]
    return tuple(share / sum(seen) for share in seen)
