"""Read JSON documents into typed records. Errors name the file, the field, expected and found.

Only the standard library is used, because the command line and the contract must load fast.
"""

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from lesionlite.errors import LesionliteError

T = TypeVar("T")
_PLAIN = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    Path: "a path",
    NoneType: "nothing",
}


class Mismatch(Exception):
    """A value is not what a field takes.

    Attributes:
        field: such as `rows[3].size_bytes`; "" for the whole value.
        expected: a description.
        found: a short description.
    """

    def __init__(self, field: str, expected: str, found: str) -> None:
        super().__init__(f"{field or 'it'} is {found}; expected {expected}")
        self.field, self.expected, self.found = field, expected, found


def read_json(path: Path) -> Any:
    """The JSON document at `path`; None if there is no such file.

    Raises:
        LesionliteError: if something is there that is no JSON text in UTF-8.
    """
    try:
        if not os.path.lexists(path):
            return None
        if not path.exists():
            raise LesionliteError(f"{path} is a broken link")
        if not path.is_file():  # reading a pipe might never end
            raise LesionliteError(f"{path} is no regular file; a JSON document is expected there")
        return parse_json(path.read_bytes(), str(path))
    except NotADirectoryError:
        return None


def parse_json(text: str | bytes, source: str) -> Any:
    """Parse a JSON text. A byte-order mark is ignored.

    Raises:
        LesionliteError: it is no JSON; the error names `source` and the line. NaN and Infinity are
            refused, too, though Python's parser takes them.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"it holds {name}, which JSON does not have")

    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        return json.loads(text, parse_constant=refuse)
    except UnicodeDecodeError as error:
        raise LesionliteError(f"{source} is not text in UTF-8 (byte {error.start})") from error
    except (ValueError, RecursionError) as error:
        what = "it is empty" if not text.strip() else str(error)
        raise LesionliteError(f"{source} is damaged: it is no JSON document ({what})") from error


def to_json(document: Any, indent: int | None = 2) -> str:
    r"""A JSON text that UTF-8 can hold.

    Numbers that are not finite become null, because JSON has no such numbers. A byte of a file name
    that is not UTF-8 becomes an escape such as \xff.
    """
    try:
        text = json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(document), indent=indent, ensure_ascii=False, allow_nan=False)
    return text if text.isascii() else re.sub("[\ud800-\udfff]+", _readable, text)


def _readable(surrogates: re.Match[str]) -> str:
    """Bytes of a file name as text: characters if they are UTF-8, else escapes."""
    try:
        read = surrogates[0].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # not from a name
        read = surrogates[0].encode("ascii", "backslashreplace").decode()
    return json.dumps(read, ensure_ascii=False)[1:-1]


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def read_record(path: Path, kind: type[T], extra: bool = False, advice: str = "") -> T:
    """The document at `path` as a record of type `kind`.

    Args:
        path: JSON file.
        kind: a dataclass, or what `structure` takes.
        extra: whether a document may have fields that the record lacks.
        advice: what to do if it cannot be read, e.g. "export again".

    Raises:
        LesionliteError: no such file, no JSON, or a field of another type.
    """
    document = read_json(path)
    if document is None:
        raise LesionliteError(f"there is no {path}" + (f"; {advice}" if advice else ""))
    return as_record(document, kind, str(path), extra, advice)


def as_record(
    document: Any, kind: type[T], source: str, extra: bool = False, advice: str = ""
) -> T:
    """Convert a parsed document to a record; see `read_record`."""
    try:
        return cast(T, structure(document, kind, extra=extra))
    except Mismatch as error:
        more = f"; {advice}" if advice else ""
        raise LesionliteError(f"{source}: {error}{more}") from error
    except LesionliteError as error:  # of the record itself
        raise LesionliteError(f"{source}: {error}") from error


def structure(value: Any, kind: Any, field: str = "", extra: bool = False) -> Any:
    """Convert a parsed JSON value to the type of a field's annotation.

    Args:
        value: parsed JSON; tuples and paths are accepted, too.
        kind: str, bool, int, float (finite; an int will do), Path, None, Any, Literal[...],
            tuple, list, dict[str, ...], a union of these, or a dataclass of such fields.
        field: name of the value in errors.
        extra: whether dictionaries may have more keys than a dataclass has fields.

    Raises:
        Mismatch: naming the field.
    """
    if kind is Any:
        return value
    origin = get_origin(kind)
    if is_dataclass(kind):
        return _record(value, kind, field, extra)
    if origin in (Union, UnionType):
        return _one_of(value, get_args(kind), field, extra)
    if origin is Literal:
        if not any(
            value is choice or (type(value) is type(choice) and value == choice)
            for choice in get_args(kind)
        ):
            raise Mismatch(field, "one of: " + ", ".join(map(str, get_args(kind))), shown(value))
        return value
    if origin is tuple or origin in (list, Sequence):
        return _sequence(value, kind, field, extra)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise Mismatch(field, "an object", shown(value))
        of = get_args(kind)[1]
        return {
            key: structure(v, of, f"{field}.{key}".lstrip("."), extra) for key, v in value.items()
        }
    return _plain(value, kind, field)


def _plain(value: Any, kind: Any, field: str) -> Any:
    good = {
        str: isinstance(value, str) and _is_writable(value),
        bool: isinstance(value, bool),
        int: isinstance(value, Integral) and not isinstance(value, bool),
        float: isinstance(value, Real) and not isinstance(value, bool) and _is_finite(value),
        Path: isinstance(value, str | Path),
        NoneType: value is None,
    }
    if not good[kind]:
        raise Mismatch(field, _PLAIN[kind], shown(value))
    return value if kind in (NoneType, str) else kind(value)


def _is_writable(value: str) -> bool:
    """Whether UTF-8 can encode it. JSON can hold half a surrogate pair; UTF-8 cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int that is too large for a float
        return False


def _record(value: Any, kind: Any, field: str, extra: bool) -> Any:
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise Mismatch(field, "an object", shown(value))
    prefix = f"{field}." if field else ""
    known = {row.name: row for row in fields(kind) if row.init}
    for name in value:
        if name not in known and not extra:
            raise Mismatch(f"{prefix}{name}", "no such field", shown(value[name]))
    hints = get_type_hints(kind)
    given = {}
    for name, row in known.items():
        if name in value:
            given[name] = structure(value[name], hints[name], prefix + name, extra)
        elif row.default is MISSING and row.default_factory is MISSING:
            raise Mismatch(prefix + name, describe(hints[name]), "missing")
    try:
        return kind(**given)
    except Mismatch as error:  # of the record itself
        raise Mismatch(prefix + error.field, error.expected, error.found) from error


def _one_of(value: Any, kinds: Sequence[Any], field: str, extra: bool) -> Any:
    problems = []
    for kind in kinds:
        try:
            return structure(value, kind, field, extra)
        except Mismatch as error:
            problems.append(error)
    for problem in problems:  # an error about a part says more than a list of choices
        if problem.field != field:
            raise problem
    raise Mismatch(field, " or ".join(problem.expected for problem in problems), shown(value))


def _sequence(value: Any, kind: Any, field: str, extra: bool) -> Any:
    kinds = get_args(kind)
    if not isinstance(value, list | tuple):
        raise Mismatch(field, describe(kind), shown(value))
    if get_origin(kind) is tuple and kinds[-1:] != (...,):
        if len(value) != len(kinds):
            raise Mismatch(field, describe(kind), f"a list of {len(value)}")
        pairs = list(zip(value, kinds, strict=True))
    else:
        pairs = [(item, kinds[0]) for item in value]
    made = [structure(v, k, f"{field}[{i}]", extra) for i, (v, k) in enumerate(pairs)]
    return tuple(made) if get_origin(kind) is tuple else made


def describe(kind: Any) -> str:
    """Describe a type."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(describe(part) for part in parts)
    if origin is Literal:
        return "one of: " + ", ".join(map(str, parts))
    if origin is tuple and parts[-1:] != (...,):
        return f"a list of {len(parts)}"
    if origin in (tuple, list, Sequence):
        return "a list"
    return _PLAIN.get(kind, "an object")


def shown(value: Any) -> str:
    """Describe a value briefly, as a user sees it in the file."""
    if isinstance(value, str | int | float | None):
        text = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, Mapping):
        text = "an object"
    elif isinstance(value, list | tuple):
        text = f"a list of {len(value)}"
    else:
        text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
