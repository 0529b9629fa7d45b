"""The table of forms. A new family of networks is one module and one row here."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError


@dataclass(frozen=True)
class Form:
    """One row of the table.

    Attributes:
        families: families of timm's networks that it can rewrite. A network's family is its name
            up to the first `_` or `.`.
        module: has a class `MobileForm(network, contract[, variant])`, a module that maps uint8
            [B, S, S, 3] to probabilities [B, C].
    """

    families: tuple[str, ...]
    module: str


FORMS = (Form(("mobilevitv2",), "lesionlite.export.forms.mobilevitv2"),)


def find_form(model: str) -> Form:
    """The form for a network, by timm's name of it.

    Raises:
        LesionliteError: no form has its family; the error lists the families.
    """
    family = model.split(".")[0].split("_")[0]
    for row in FORMS:
        if family in row.families:
            return row
    known = ", ".join(family for row in FORMS for family in row.families)
    raise LesionliteError(
        f"{model} cannot be exported: lesionlite has no form for the family {family}; train a "
        f"network of one of these families: {known}"
    )


def mobile_form(network: Any, contract: Contract, *variant: Any) -> Any:
    """A timm network rewritten for phones.

    Args:
        network: a timm network, in evaluation mode.
        contract: the run's contract.
        variant: how to write the form for one runtime, as the form's module defines it; by default
            the module's own default.

    Raises:
        LesionliteError: as `find_form`.
    """
    row = find_form(network.pretrained_cfg["architecture"])
    return import_module(row.module).MobileForm(network, contract, *variant)
