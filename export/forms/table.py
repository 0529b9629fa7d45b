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
        families: of timm's networks; a network's family is its name up to the first `_` or `.`.
        module: has a class `MobileForm` that takes the network, its contract and, if asked, how
            the runtime wants it written. It maps uint8 [B, S, S, 3] to probabilities [B, C].
    """

    families: tuple[str, ...]
    module: str


FORMS = (Form(("mobilevitv2",), "lesionlite.export.forms.mobilevitv2"),)


def find_form(model: str) -> Form:
    """The form of a network by timm's name of it.

    Raises:
        LesionliteError: no row has its family; the error lists the families.
    """
    family = model.split(".")[0].split("_")[0]
    for row in FORMS:
        if family in row.families:
            return row
    known = ", ".join(family for row in FORMS for family in row.families)
    raise LesionliteError(
        f"{model} cannot be exported: no form is written for the family {family}; train a network "
        f"of one of these families: {known}"
    )


def mobile_form(network: Any, contract: Contract, *written: Any) -> Any:
    """A timm network as phones run it.

    Args:
        network: timm's; it knows its own name.
        contract: what the form takes and gives.
        written: how a runtime wants it written, if not as usual.

    Raises:
        LesionliteError: as `find_form`.
    """
    row = find_form(network.pretrained_cfg["architecture"])
    return import_module(row.module).MobileForm(network, contract, *written)
