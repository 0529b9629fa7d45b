"""The table of forms. A new way to write networks is one module and one row here."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any

from lesionlite.contract import Contract


@dataclass(frozen=True)
class Form:
    """One row of the table.

    Attributes:
        networks: pattern of timm's names of networks, such as `mobilevitv2_*`.
        module: has a class `MobileForm(network, contract[, variant])`, a module that maps uint8
            [B, S, S, 3] to probabilities [B, C].
        proven: whether our tests convert all these networks to every format. `build` converts
            others with random weights before it trains them.
    """

    networks: str
    module: str
    proven: bool = False


FORMS = (
    Form("mobilevitv2_*", "lesionlite.export.forms.mobilevitv2", proven=True),
    Form("*", "lesionlite.export.forms.plain"),
)


def find_form(model: str) -> Form:
    """The form for a network, by timm's name of it: the first row whose pattern fits."""
    return next(row for row in FORMS if fnmatchcase(model, row.networks))


def mobile_form(network: Any, contract: Contract, *variant: Any) -> Any:
    """A timm network rewritten for phones.

    Args:
        network: a timm network, in evaluation mode.
        contract: the run's contract.
        variant: how to write the form for one runtime, as the form's module defines it; by default
            the module's own default.

    Raises:
        LesionliteError: the network cannot be written in this form.
    """
    row = find_form(network.pretrained_cfg["architecture"])
    return import_module(row.module).MobileForm(network, contract, *variant)
