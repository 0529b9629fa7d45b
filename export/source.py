"""The input of every converter: the network, its contract, its description and its plan."""

from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lesionlite.contract import Contract
from lesionlite.export.metadata import Metadata
from lesionlite.export.precision import INTEGERS, PRECISIONS
from lesionlite.export.quantize.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lesionlite.export.forms.attention import Variant
    from lesionlite.export.quantize.weights.weight_rounding import WeightRounder
    from lesionlite.train.data.images import Pixels


@dataclass(frozen=True)
class Source:
    """One run, ready to be written in any format.

    Attributes:
        network: timm's network, float32, in evaluation mode; converters do not change it.
        contract: the contract to store in every file.
        metadata: the description to store in each format's own metadata fields.
        quantization: the quantization plan of w8a8, or None.
        images: the calibration images, uint8 [N, S, S, 3], or None; with them, w8 has learned
            weights.
        integers: the quantization plan of w8a8-int, or None.
    """

    network: Any
    contract: Contract
    metadata: Metadata
    quantization: Plan | None = None
    images: "Pixels | None" = None
    integers: Plan | None = None
    _forms: "dict[Variant, nn.Module]" = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def plan(self) -> Plan:
        """The quantization plan, for a calibrated precision.

        Raises:
            ValueError: there is none; `export` always makes one for calibrated precisions.
        """
        if self.quantization is None:
            raise ValueError("a calibrated precision needs a quantization plan")
        return self.quantization

    @property
    def integer_plan(self) -> "tuple[Plan, Pixels]":
        """The quantization plan of w8a8-int, and the calibration images, uint8 [N, S, S, 3].

        Raises:
            ValueError: there are none; `export` always makes them for that precision.
        """
        if self.integers is None:
            raise ValueError("w8a8-int needs a quantization plan")
        return self.integers, self.calibration

    def plan_of(self, precision: str) -> Plan | None:
        """The quantization plan that a precision follows, or None."""
        if precision == INTEGERS:
            return self.integers
        return self.quantization if PRECISIONS[precision].calibrated else None

    @property
    def calibration(self) -> "Pixels":
        """The calibration images, uint8 [N, S, S, 3].

        Raises:
            ValueError: there are none; `export` always reads them for precisions that need them.
        """
        if self.images is None:
            raise ValueError("this precision needs calibration images")
        return self.images

    @cached_property
    def rounder(self) -> "WeightRounder":
        """What rounds weights, with the calibration images.

        Raises:
            ValueError: as `calibration`.
        """
        from lesionlite.export.forms.attention import NCHW
        from lesionlite.export.quantize.weights.weight_rounding import WeightRounder

        return WeightRounder(self.form(NCHW), self.calibration)

    @cached_property
    def _layers_in_8_bits(self) -> "nn.Module":
        return self.rounder.round(8)

    def is_float(self, precision: str) -> bool:
        """Whether the form of a precision is the float form; see `form`."""
        row = PRECISIONS[precision]
        return not row.calibrated and not (row.improved and self.images is not None)

    def form(self, variant: "Variant", precision: str = "fp32") -> "nn.Module":
        """The mobile form in a runtime's variant, with the numbers of a precision.

        Calibrated precisions compute in 8 bits; w8 has weights that 8 bits hold. Each
        call returns a new copy, which the caller may change. The form itself is traced once for
        each variant, because that takes seconds.
        """
        from lesionlite.export.forms.table import mobile_form
        from lesionlite.export.quantize.quantized_form import quantize, with_layers
        from lesionlite.export.quantize.wiring import trace

        if variant not in self._forms:
            self._forms[variant] = mobile_form(self.network, self.contract, variant)
        form = self._forms[variant]
        if self.is_float(precision):
            return deepcopy(form)
        if not PRECISIONS[precision].calibrated:
            return with_layers(form, self._layers_in_8_bits)
        return quantize(form, self.plan, trace(form, example(self.contract)), variant.signed)


def example(contract: Contract) -> "Tensor":
    """A black image for tracing, uint8 [1, S, S, 3]."""
    import torch

    return torch.zeros(1, contract.side, contract.side, 3, dtype=torch.uint8)
