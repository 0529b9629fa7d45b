"""What every converter starts from: the network, its contract, the plan, and what to say of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lesionlite.contract import Contract
from lesionlite.export.metadata import Metadata
from lesionlite.export.precision import PRECISIONS
from lesionlite.export.quantize.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lesionlite.export.forms.attention import Variant


@dataclass(frozen=True)
class Source:
    """One run, ready to be written in any format.

    Attributes:
        network: timm's, float32, in evaluation mode; it stays as it is.
        contract: goes into every file.
        metadata: goes into each format's own standard fields.
        quantization: the plan that all calibrated precisions follow, where one was made.
    """

    network: Any
    contract: Contract
    metadata: Metadata
    quantization: Plan | None = None

    @property
    def plan(self) -> Plan:
        """The quantization plan, for a precision that is calibrated.

        Raises:
            ValueError: if none was made; `export` sees to that.
        """
        if self.quantization is None:
            raise ValueError("a calibrated precision needs a quantization plan")
        return self.quantization

    def form(self, variant: "Variant", precision: str = "fp32") -> "nn.Module":
        """The mobile form as a runtime wants it spelled; 8-bit arithmetic is spelled out, too."""
        from lesionlite.export.forms.mobilevitv2 import MobileForm
        from lesionlite.export.quantize.quantized_form import quantize
        from lesionlite.export.quantize.wiring import trace

        form = MobileForm(self.network, self.contract, variant)
        if not PRECISIONS[precision].calibrated:
            return form
        return quantize(form, self.plan, trace(form, example(self.contract)), variant.signed)


def example(contract: Contract) -> "Tensor":
    """An image to trace with: uint8 [1, S, S, 3]."""
    import torch

    return torch.zeros(1, contract.side, contract.side, 3, dtype=torch.uint8)
