"""Check settings: every field has its type, is finite, and is in range."""

import math
import os
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from lesionlite.documents import Mismatch, structure
from lesionlite.errors import LesionliteError

MAX_THREADS = 1024  # more than any machine has cores; each thread takes memory
THREADS = f"from 1 to {MAX_THREADS}"
MAX_SEED = 2**32 - 1
SEED = f"from 0 to {MAX_SEED}"  # all random generators accept these


def refuse_types(settings: Any) -> None:
    """Refuse settings that have a field of a wrong type, or a number that is not finite.

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
    """Refuse settings that break a rule. A rule is: field name, whether it holds, its text.

    Raises:
        LesionliteError: naming the flag, its value, and what it may be.
    """
    for name, good, wanted in rules:
        if not good:
            value = getattr(settings, name)
            if isinstance(value, tuple):
                value = " ".join(map(str, value)) or "empty"
            raise LesionliteError(f"{flag(name)} is {value}; it must be {wanted}")


def numbers_by_label(
    name: str, entries: Iterable[str], word: str, limits: tuple[int, int], example: str
) -> dict[str, float]:
    """Parse LABEL=NUMBER entries of a setting; a label may hold "=".

    Args:
        name: of the setting.
        entries: its value.
        word: what the number is, in capitals.
        limits: the least and the largest number.
        example: of an entry.

    Raises:
        LesionliteError: naming the entry that is not of this form, or the label that comes twice.
    """
    found: dict[str, float] = {}
    for entry in entries:
        label, _, text = entry.rpartition("=")
        if label in found:
            raise LesionliteError(f"{flag(name)} names {label} twice")
        try:
            found[label] = float(text)
        except ValueError:
            found[label] = math.nan
        if not label or not limits[0] <= found[label] <= limits[1]:
            raise LesionliteError(
                f"{flag(name)} takes LABEL={word} with a {word.lower()} from {limits[0]} to "
                f"{limits[1]}, e.g. {example}, not {entry!r}"
            )
    return found


def named_path(value: object, name: str) -> Path:
    """Convert an argument of a public function to a path.

    Args:
        value: what the caller gave.
        name: of the argument.

    Raises:
        LesionliteError: it is no path, or it is empty, which would mean the working folder.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise LesionliteError(f"{name} is {value!r}; it must be a path, as text or pathlib.Path")
    if not os.fspath(value) or "\0" in os.fspath(value):
        raise LesionliteError(f"{name} is {value!r}, which names no file or folder")
    return Path(value)


def are_threads(*numbers: int) -> bool:
    """Whether all are allowed numbers of threads or processes; see `THREADS`."""
    return all(1 <= number <= MAX_THREADS for number in numbers)


def flag(name: str) -> str:
    """The flag of a field, as the command line spells it."""
    return "--" + name.replace("_", "-")
