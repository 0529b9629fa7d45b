"""Errors that the user can mend, each one sentence."""

from collections.abc import Iterable
from difflib import get_close_matches


class LesionliteError(Exception):
    """An error that the user can mend. It says what is wrong, where, and what to do."""


def unknown_choice(what: str, given: object, choices: Iterable[str]) -> LesionliteError:
    """The error for a wrong name; it lists the right names and suggests the closest.

    >>> str(unknown_choice("format", "onx", ["onnx", "coreml"]))
    "there is no format 'onx' (did you mean 'onnx'?); choose from: onnx, coreml"
    """
    names = list(choices)
    close = get_close_matches(str(given), names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return LesionliteError(f"there is no {what} {given!r}{hint}; choose from: {', '.join(names)}")


def first_line(error: object) -> str:
    """The first line of an error message, because toolchains' messages may have many lines."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
