"""One check for the settings of every command: each of its type, finite, in range."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, get_type_hints

from train.documents import Mismatch, structure
from train.errors import LesionliteError


def refuse_types(settings: Any) -> None:
    """Refuse a record of settings that has a field of another type, or a number that is not finite.

    Raises:
        LesionliteError: naming the flag, its value, and what it may be.
    """
    hints = get_type_hints(type(settings))
    for field in fields(settings):
        try:
            structure(getattr(settings, field.name), hints[field.name], flag(field.name))
        except Mismatch as error:
            raise LesionliteError(
                f"{error.field} is {error.found}; it must be {error.expected}"
            ) from error


def refuse_settings(settings: object, rules: Iterable[tuple[str, bool, str]]) -> None:
    """Refuse a record of settings whose fields break a rule: name, whether it is kept, the rule.

    Raises:
        LesionliteError: naming the flag, its value, and what it may be.
    """
    for name, good, wanted in rules:
        if not good:
            raise LesionliteError(f"{flag(name)} is {getattr(settings, name)}; it must be {wanted}")


def flag(name: str) -> str:
    """A field's name as the command line spells it."""
    return "--" + name.replace("_", "-")
