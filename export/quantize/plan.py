"""The quantization plan: which layers run in 8 bits, and the scale and zero point of each tensor.

Layers have the names of their PyTorch modules.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lesionlite.documents import read_record
from lesionlite.export.quantize.quant_params import QuantParams
from lesionlite.files import write_text

PLAN, PLAN_FIGURE, INTEGER_PLAN = "plan.json", "plan.png", "plan-w8a8-int.json"


@dataclass(frozen=True)
class Plan:
    """The w8a8 file of every format follows one plan, and each w8a8-int file another.

    Attributes:
        layers: names of the convolutions and linear layers in 8 bits.
        activations: names of the SiLUs in 8 bits; the layers around them are in 8 bits, too.
        grids: scale and zero point by tensor; `wiring.py` says how tensors are named.
        corrections: bias correction by layer in 8 bits: one number for each output channel, added
            to the bias of the layer with rounded weights, so that quantization does not shift the
            channel's mean.
        sensitivity: by layer and SiLU: mean Kullback-Leibler divergence of the answers, in nats, if
            it alone is quantized.
        macs: multiply-adds for one image, by layer.
        divergence: mean Kullback-Leibler divergence, in nats, of the network that follows the plan,
            on calibration images that did not tune it.
        agreement: share of these images whose most probable class stays the same.
        rule: how the grids were chosen, a name in `RANGE_RULES`.
        images: number of calibration images.
        seed: of the calibration images, of the values sampled from tensors, and of tuning.
    """

    layers: tuple[str, ...]
    activations: tuple[str, ...]
    grids: dict[str, QuantParams]
    corrections: dict[str, tuple[float, ...]]
    sensitivity: dict[str, float]
    macs: dict[str, int]
    divergence: float = 0.0
    agreement: float = 1.0
    rule: str = "mse"
    images: int = 0
    seed: int = 0

    @property
    def int8_share(self) -> float:
        """Share of the multiply-adds that run in 8 bits."""
        return sum(self.macs[name] for name in self.layers) / sum(self.macs.values())

    def to_json(self) -> str:
        """The plan as a JSON document, which `read` turns back without loss."""
        return json.dumps({**asdict(self), "int8_share": self.int8_share}, indent=1) + "\n"

    def write(self, path: Path) -> None:
        """Write the plan as JSON; if that fails, no partial file is left."""
        write_text(path, self.to_json())

    @classmethod
    def read(cls, path: Path) -> "Plan":
        """Read a plan.

        Raises:
            LesionliteError: the file is missing or damaged.
        """
        return read_record(path, cls, extra=True, advice="make one with `lesionlite export`")
