"""The input of every converter: the network, its contract, its description and its plan."""

from collections.abc import Container
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from lesionlite.contract import Contract
from lesionlite.export.metadata import Metadata
from lesionlite.export.precision import INTEGERS, PRECISIONS
from lesionlite.export.quantize.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lesionlite.export.forms.attention import Variant


class RoundedWeights(Protocol):
    """The rounded weights of a form: a `WeightRounder`, or what another process wrote of it."""

    images: "Tensor"
    """The calibration images, uint8 [N, S, S, 3]."""

    def round(self, bits: int) -> "nn.Module":
        """See `WeightRounder.round`."""

    def round_for_kernels(self, in_pairs: bool = False) -> "nn.Module":
        """See `WeightRounder.round_for_kernels`."""


@dataclass(frozen=True)
class Source:
    """One run, ready to be written in any format.

    Attributes:
        network: timm's network, float32, in evaluation mode; converters do not change it.
        contract: the contract to store in every file.
        metadata: the description to store in each format's own metadata fields.
        quantization: the quantization plan of w8a8, or None.
        rounder: has the calibration images, or None; with it, w8, w8a8 and w8a8-int have learned
            weights.
        integers: the quantization plan of w8a8-int, or None.
    """

    network: Any
    contract: Contract
    metadata: Metadata
    quantization: Plan | None = None
    rounder: RoundedWeights | None = None
    integers: Plan | None = None
    # An argument, so that `replace`, which adds a plan or a rounder, keeps what was traced.
    _forms: "dict[Variant, nn.Module]" = field(default_factory=dict, repr=False, compare=False)

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
    def integer_plan(self) -> Plan:
        """The quantization plan of w8a8-int.

        Raises:
            ValueError: there is none; `export` always makes one for that precision.
        """
        if self.integers is None:
            raise ValueError("w8a8-int needs a quantization plan")
        return self.integers

    def plan_of(self, precision: str) -> Plan | None:
        """The quantization plan that a precision follows, or None."""
        if precision == INTEGERS:
            return self.integers
        return self.quantization if PRECISIONS[precision].calibrated else None

    @property
    def calibrated(self) -> RoundedWeights:
        """The rounder, for precisions that need calibration images.

        Raises:
            ValueError: there is none; `export` always makes one for them.
        """
        if self.rounder is None:
            raise ValueError("this precision needs calibration images")
        return self.rounder

    @cached_property
    def _layers_in_8_bits(self) -> "nn.Module":
        return self.calibrated.round(8)

    def is_float(self, precision: str) -> bool:
        """Whether the form of a precision is the float form; see `form`."""
        return not PRECISIONS[precision].calibrates(self.rounder is not None)

    def form(self, variant: "Variant", precision: str = "fp32") -> "nn.Module":
        """The mobile form in a runtime's variant, with the numbers of a precision.

        Calibrated precisions compute in 8 bits; w8 has weights that 8 bits hold. Each
        call returns a new copy, which the caller may change. The form itself is traced once for
        each variant, because that takes seconds.
        """
        from lesionlite.export.quantize.quantized_form import quantize, with_layers
        from lesionlite.export.quantize.wiring import trace

        if PRECISIONS[precision].calibrated:
            form = self.to_quantize(variant, self.plan.layers)
            return quantize(form, self.plan, trace(form, example(self.contract)), variant.signed)
        form = self._form(variant)
        if self.is_float(precision):
            return deepcopy(form)
        return with_layers(form, self._layers_in_8_bits)

    def to_quantize(self, variant: "Variant", layers: Container[str] | None = None) -> "nn.Module":
        """A copy of the float form, in which some layers have the weights of 8-bit kernels.

        Args:
            variant: a runtime's.
            layers: their names, or None for all.
        """
        from lesionlite.export.quantize.quantized_form import with_layers

        form = self._form(variant)
        if self.rounder is None:
            return deepcopy(form)
        return with_layers(form, self.rounder.round_for_kernels(not variant.signed), layers)

    def _form(self, variant: "Variant") -> "nn.Module":
        from lesionlite.export.forms.table import mobile_form

        if variant not in self._forms:
            self._forms[variant] = mobile_form(self.network, self.contract, variant)
        return self._forms[variant]


def example(contract: Contract) -> "Tensor":
    """A black image for tracing, uint8 [1, S, S, 3]."""
    import torch

    return torch.zeros(1, contract.side, contract.side, 3, dtype=torch.uint8)
