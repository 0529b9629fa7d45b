"""One check for the settings of every command: each of its type, finite, in range."""

import os
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from lesionlite.documents import Mismatch, structure
from lesionlite.errors import LesionliteError

MAX_THREADS = 1024  # more than any machine's cores; each takes memory, and a system has an end
THREADS = f"from 1 to {MAX_THREADS}"
MAX_SEED = 2**32 - 1
SEED = f"from 0 to {MAX_SEED}"  # what each of the generators takes


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
            value = getattr(settings, name)
            if isinstance(value, tuple):
                value = " ".join(map(str, value)) or "empty"
            raise LesionliteError(f"{flag(name)} is {value}; it must be {wanted}")


def named_path(value: object, name: str) -> Path:
    """An argument of a public function as a path.

    Args:
        value: what the caller gave.
        name: of the argument.

    Raises:
        LesionliteError: if it is no path, or an empty text, which would be the working folder.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise LesionliteError(f"{name} is {value!r}; it must be a path, as text or pathlib.Path")
    if not os.fspath(value) or "\0" in os.fspath(value):
        raise LesionliteError(f"{name} is {value!r}, which names no file or folder")
    return Path(value)


def are_threads(*numbers: int) -> bool:
    """Whether each is a number of threads or processes that a machine may have; see `THREADS`."""
    return all(1 <= number <= MAX_THREADS for number in numbers)


def flag(name: str) -> str:
    """A field's name as the command line spells it."""
    return "--" + name.replace("_", "-")
