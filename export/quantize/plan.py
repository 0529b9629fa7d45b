"""The quantization plan: which layers run in 8 bits on which grids, in terms of module names."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lesionlite.documents import read_record
from lesionlite.export.quantize.quant_params import QuantParams
from lesionlite.files import write_text

PLAN, PLAN_FIGURE = "plan.json", "plan.png"


@dataclass(frozen=True)
class Plan:
    """What every format's w8a8 file is made by.

    Attributes:
        layers: names of the convolutions and linear layers in 8 bits.
        activations: names of the SiLUs in 8 bits; the layers around them are in 8 bits, too.
        grids: what each tensor is rounded to, by the tensor's name in the wiring.
        corrections: what is added to the bias of a layer in 8 bits, per output channel, so that
            rounding does not shift its mean.
        sensitivity: of every layer and SiLU, what rounding it alone does to the answers: mean
            Kullback-Leibler divergence in nats.
        macs: multiply-adds of every layer for one image.
        divergence: of the planned network as a whole.
        agreement: share of calibration images whose answer stays, as planned.
        rule: how grids were chosen.
        images: how many calibration images the plan is made from.
        seed: of all that is drawn at random.
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
        """The plan as a JSON document; floats are written so that they read back the same."""
        return json.dumps({**asdict(self), "int8_share": self.int8_share}, indent=1) + "\n"

    def write(self, path: Path) -> None:
        """Write plan.json, all or nothing."""
        write_text(path, self.to_json())

    @classmethod
    def read(cls, path: Path) -> "Plan":
        """The plan in a file.

        Raises:
            LesionliteError: if there is none, or it is damaged.
        """
        return read_record(path, cls, extra=True, advice="make one with `lesionlite export`")
