"""Choose the range of each tensor from its values on the calibration images."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from lesionlite.export.quantize.quant_params import QuantParams
from lesionlite.export.quantize.rounding import rounded
from lesionlite.export.quantize.wiring import Wiring
from lesionlite.train.data.images import Pixels

BATCH = 25
SAMPLE = 100_000  # values kept of each tensor, from all images together
# Parts of the observed range that `mse` tries.
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1)
PERCENTILE = 99.99
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "SiLU": F.silu,
    "ReLU": F.relu,
    "ReLU6": F.relu6,
    "Hardswish": F.hardswish,
    "GELU": F.gelu,
    "Sigmoid": F.sigmoid,
    "Hardsigmoid": F.hardsigmoid,
}


@dataclass(frozen=True)
class TensorStatistics:
    """The values of one tensor on the calibration images.

    Attributes:
        low: smallest value.
        high: largest value.
        sample: float32 [SAMPLE] values drawn at random, the same number from each image.
    """

    low: float
    high: float
    sample: Tensor


def observe(wiring: Wiring, images: Pixels, seed: int) -> dict[str, TensorStatistics]:
    """Run the calibration images, and collect statistics of every layer's input and output.

    Args:
        wiring: of the float mobile form.
        images: uint8 [N, S, S, 3].
        seed: of the values that are sampled.

    Returns:
        Statistics by tensor name.
    """
    observer = _Observer(wiring, max(1, SAMPLE // len(images)), seed)
    with torch.no_grad():
        for batch in torch.from_numpy(images).split(BATCH):
            observer.run(batch)
    return observer.statistics()


class _Observer(fx.Interpreter):
    """Runs a network, and collects statistics of the tensors that a wiring names."""

    def __init__(self, wiring: Wiring, each: int, seed: int) -> None:
        super().__init__(wiring.program)
        self.names, self.each = wiring.tensors, each
        self.generator = torch.Generator().manual_seed(seed)
        self.low: dict[str, float] = {}
        self.high: dict[str, float] = {}
        self.kept: dict[str, list[Tensor]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run one node, and look at what it gives."""
        made = super().run_node(n)
        if n.name in self.names:
            self._note(self.names[n.name], made)
        return made

    def _note(self, name: str, tensor: Tensor) -> None:
        flat = tensor.reshape(len(tensor), -1)
        self.low[name] = min(self.low.get(name, 0.0), float(flat.min()))
        self.high[name] = max(self.high.get(name, 0.0), float(flat.max()))
        index = torch.randint(flat.shape[1], (self.each,), generator=self.generator)
        self.kept.setdefault(name, []).append(flat[:, index].flatten())

    def statistics(self) -> dict[str, TensorStatistics]:
        """What was collected, by tensor."""
        return {
            name: TensorStatistics(self.low[name], self.high[name], torch.cat(kept))
            for name, kept in self.kept.items()
        }


def _unchanged(x: Tensor) -> Tensor:
    return x


def min_max(values: TensorStatistics, activation: str) -> QuantParams:
    """A grid that covers all observed values."""
    return QuantParams.covering(values.low, values.high)


def percentile(values: TensorStatistics, activation: str) -> QuantParams:
    """A grid that covers all values but the lowest 0.01 % and the highest 0.01 %."""
    ends = torch.tensor([1 - PERCENTILE / 100, PERCENTILE / 100])
    low, high = values.sample.quantile(ends).tolist()
    return QuantParams.covering(low, high)


def mse(values: TensorStatistics, activation: str) -> QuantParams:
    """The grid with the least mean squared error, measured after the activation that follows.

    A SiLU maps values far below zero to almost zero. The grid need not cover them, so it can be
    finer elsewhere.
    """
    activate = FUNCTIONS.get(activation, _unchanged)
    exact = activate(values.sample)

    def error(ends: tuple[float, float]) -> float:
        grid = QuantParams.covering(values.low * ends[0], values.high * ends[1])
        return float((activate(rounded(values.sample, grid)) - exact).square().mean())

    lows = SHARES + (0.0,) if values.low < 0 else (1.0,)
    best = min(product(lows, SHARES), key=error)
    return QuantParams.covering(values.low * best[0], values.high * best[1])


RANGE_RULES = {"mse": mse, "percentile": percentile, "min-max": min_max}


def choose_grids(
    wiring: Wiring, values: dict[str, TensorStatistics], rule: str
) -> dict[str, QuantParams]:
    """The grid of every tensor.

    Args:
        wiring: of the form that was observed.
        values: statistics by tensor name.
        rule: a name in `RANGE_RULES`.
    """
    choose = RANGE_RULES[rule]
    after = wiring.activation_after()
    return {name: choose(seen, after.get(name, "")) for name, seen in values.items()}
