"""Where the grid of each tensor ends: chosen from what the tensor holds on calibration images."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesionlite.export.quantize.quant_params import QuantParams
from lesionlite.export.quantize.wiring import Hook, Wiring, watching
from lesionlite.train.data.images import Pixels

BATCH = 25
SAMPLE = 100_000  # values kept of each tensor, over all images
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1)
PERCENTILE = 99.99


@dataclass(frozen=True)
class Values:
    """What a tensor held on the calibration images.

    Attributes:
        low: smallest value.
        high: largest value.
        sample: float32 [SAMPLE] values drawn at random, the same number from each image.
    """

    low: float
    high: float
    sample: Tensor


def observe(form: nn.Module, wiring: Wiring, images: Pixels, seed: int) -> dict[str, Values]:
    """Run calibration images, uint8 [N, S, S, 3], and keep what every tensor of a layer held."""
    generator = torch.Generator().manual_seed(seed)
    each = max(1, SAMPLE // len(images))
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    kept: dict[str, list[Tensor]] = {}

    def note(name: str, tensor: Tensor) -> None:
        flat = tensor.reshape(len(tensor), -1)
        low[name] = min(low.get(name, 0.0), float(flat.min()))
        high[name] = max(high.get(name, 0.0), float(flat.max()))
        index = torch.randint(flat.shape[1], (each,), generator=generator)
        kept.setdefault(name, []).append(flat[:, index].flatten())

    def watch(name: str) -> Hook:
        wire = wiring.layers[name]

        def hook(module: nn.Module, given: tuple[Tensor], made: Tensor) -> None:
            if wire.input.startswith(f"{name}.") or wire.input in from_activations:
                note(wire.input, given[0])
            note(wire.output, made)

        return hook

    from_activations = {wire.output for wire in wiring.activations.values()}
    with watching(form, {name: watch(name) for name in wiring.layers}):
        for batch in torch.from_numpy(images).split(BATCH):
            form(batch)
    return {name: Values(low[name], high[name], torch.cat(kept[name])) for name in kept}


def min_max(values: Values, activation: str) -> QuantParams:
    """Everything seen is on the grid."""
    return QuantParams.covering(values.low, values.high)


def percentile(values: Values, activation: str) -> QuantParams:
    """All but the outermost 0.01 % at either end is on the grid."""
    ends = torch.tensor([1 - PERCENTILE / 100, PERCENTILE / 100])
    low, high = values.sample.quantile(ends).tolist()
    return QuantParams.covering(low, high)


def mse(values: Values, activation: str) -> QuantParams:
    """The grid of least squared error, measured behind the activation that follows.

    Behind a SiLU, values far below zero make no difference, so that the grid need not hold them
    and becomes finer where it matters.
    """
    behind: Callable[[Tensor], Tensor] = {"SiLU": F.silu, "ReLU": F.relu}.get(
        activation, lambda x: x
    )
    exact = behind(values.sample)

    def error(ends: tuple[float, float]) -> float:
        rounded = QuantParams.covering(values.low * ends[0], values.high * ends[1]).round(
            values.sample
        )
        return float((behind(rounded) - exact).square().mean())

    lows = SHARES + (0.0,) if values.low < 0 else (1.0,)
    best = min(product(lows, SHARES), key=error)
    return QuantParams.covering(values.low * best[0], values.high * best[1])


CHOOSERS = {"mse": mse, "percentile": percentile, "min-max": min_max}


def choose_grids(wiring: Wiring, values: dict[str, Values], rule: str) -> dict[str, QuantParams]:
    """A grid for every tensor, by one of `lesionlite.export.config.RULES`."""
    choose = CHOOSERS[rule]
    behind = wiring.behind()
    return {name: choose(held, behind.get(name, "")) for name, held in values.items()}
