"""Read command lines into dataclasses with tyro, and turn its errors into one sentence."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, NoReturn, TypedDict, TypeVar, Union, get_args, get_origin

from lesionlite.documents import describe
from lesionlite.errors import LesionliteError, unknown_choice

T = TypeVar("T")
HELP = ("-h", "--help")
EMPTY_DEFAULT = re.compile(r"\(default: (None|True|False|'')?\)")  # tells a reader nothing
HINT = re.compile(r"\((?:default: .*|required)\)$")


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether the arguments ask for help. Arguments after `--` are no flags."""
    given = list(arguments)
    flags = given[: given.index("--")] if "--" in given else given
    return any(argument in HELP for argument in flags)


def read_flags(
    kind: type[T], arguments: Sequence[str], prog: str, pairs: bool = False, **settings: Any
) -> T:
    """Read arguments into a dataclass of flags.

    Args:
        kind: the dataclass; a field is a flag, or a positional argument.
        arguments: without the program's name.
        prog: the program's name in the usage line.
        pairs: whether a switch takes a value, `--cache False`, instead of being `--no-cache`.
        settings: `default` of `tyro.cli`.

    Raises:
        LesionliteError: a flag that is unknown, missing, or of another type.
        SystemExit: after --help.
    """
    import tyro

    marker: Any = tyro.conf.FlagConversionOff if pairs else tyro.conf.FlagCreatePairsOff
    settings |= {"prog": prog, "config": (marker,)}
    with _rules():
        return _read(kind, arguments, prog, settings)


@cache
def given_flags(kind: type) -> Any:
    """A TypedDict with a dataclass's fields. tyro fills in only the flags that were given.

    It is for settings whose defaults depend on another flag. Help shows the dataclass's defaults.
    Switches are always filled in, because tyro derives their names from their defaults (`--cache`,
    `--no-cache`).
    """
    from tyro.conf import arg
    from tyro.constructors import MISSING_NONPROP, ConstructorRegistry, StructTypeInfo

    spec = ConstructorRegistry.get_struct_spec(StructTypeInfo.make(kind, MISSING_NONPROP))
    assert spec is not None
    kinds: dict[str, Any] = {
        row.name: Annotated[
            row.type,
            arg(help=row.helptext, help_behavior_hint=f"(default: {row.default})"),
        ]
        for row in spec.fields
    }
    made: Any = TypedDict(kind.__name__, kinds, total=False)  # type: ignore[misc]
    made.__doc__ = kind.__doc__
    return made


def switches(kind: type) -> dict[str, Any]:
    """The switches of a dataclass of settings, with their defaults."""
    return {row.name: row.default for row in fields(kind) if isinstance(row.default, bool)}


def _read(kind: type[T], arguments: Sequence[str], prog: str, settings: dict[str, Any]) -> T:
    import tyro

    if asks_for_help(arguments):
        helper = tyro.extras.get_parser(kind, **settings)
        _move_rare_flags(helper, getattr(kind, "RARE_FLAGS", {}))
        _print_help(helper)
        raise SystemExit(0)
    try:
        made: T = tyro.cli(kind, args=list(arguments), console_outputs=False, **settings)
        return made
    except SystemExit as stop:
        # tyro prints errors in boxes. The error of a value that it cannot convert is in the context
        # of SystemExit. For all other errors, parse again with a parser that raises ours.
        problem = stop.__context__
        parser: Any = tyro.extras.get_parser(kind, **settings)  # a copy of argparse's, by tyro
        refusal = _Refusal(parser, prog)
        parser.error = refusal.of
        named = parser.parse_args(list(map(_as_tyro_spells, arguments)))
        raise refusal.of_value(getattr(problem, "arg", None), named) from None


def _rules() -> Any:
    """A context in which tyro refuses an empty path.

    A shell passes one for a variable that is not set; it would mean the working folder.
    """
    from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

    registry = ConstructorRegistry()

    def paths(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Path] | None:
        if info.type is not Path:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="PATH",
            instance_from_str=lambda given: _path(given[0]),
            is_instance=lambda value: isinstance(value, Path),
            str_from_instance=lambda value: [str(value)],
        )

    registry.primitive_rule(paths)
    return registry


def _path(text: str) -> Path:
    if not text:
        raise ValueError("empty")
    return Path(text)


def _as_tyro_spells(argument: str) -> str:
    """Spell a flag with dashes, as tyro does: it accepts --max_f1_loss, too."""
    name, equals, value = argument.partition("=")
    return (name.replace("_", "-") if name.startswith("--") else name) + equals + value


class _Refusal:
    """Turns errors of argparse into one sentence."""

    def __init__(self, parser: Any, prog: str) -> None:
        self.actions, self.prog = parser._actions, prog

    def _error(self, words: str) -> LesionliteError:
        name = self.prog.removeprefix("lesionlite ")
        return LesionliteError(f"{name}: {words}; see {self.prog} --help")

    def of(self, message: str) -> NoReturn:
        """Replaces the parser's `error`."""
        what, _, which = message.partition(": ")
        if what == "the following arguments are required":
            # argparse calls every positional argument PATH.
            given = which.split(", ")
            needed = [a for a in self.actions if a.required]
            flags = [_called(a) for a in needed if "/".join(a.option_strings) in given]
            places = [_called(a) for a in needed if not a.option_strings]
            missing = places[len(places) + len(flags) - len(given) :] + flags
            raise self._error(f"{' and '.join(missing)} must be given")
        if what == "unrecognized arguments":
            raise self._unknown(which.split())
        flag = what.removeprefix("argument ").split("/")[0]
        choice = re.match(r"invalid choice: (.+?) \(choose from", which)
        action = next((a for a in self.actions if flag in (*a.option_strings, a.metavar)), None)
        if choice and action and action.choices:
            wrong = unknown_choice(_called(action), choice[1].strip("'"), action.choices)
            raise self._error(str(wrong).replace("there is no ", "", 1).replace(" ", " is ", 1))
        if which.startswith("expected"):
            raise self._error(f"{flag} needs a value")
        if which.startswith("ignored explicit argument"):
            raise self._error(f"{flag} takes no value")
        raise self._error(message)

    def _unknown(self, words: list[str]) -> LesionliteError:
        flags = [word.partition("=")[0] for word in words if word.startswith("-")]
        if not flags:
            return self._error(f"{' '.join(words)!r} is one argument too many")
        known = [name for action in self.actions for name in action.option_strings]
        close = get_close_matches(flags[0], known, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        return self._error(f"there is no flag {flags[0]}{hint}")

    def of_value(self, argument: Any, named: Any) -> LesionliteError:
        """The error for a value that does not have the flag's type."""
        if argument is None:
            return self._error("these arguments do not fit together")
        name = argument.lowered.name_or_flags[0]
        action = next(a for a in self.actions if name in (*a.option_strings, a.dest, a.metavar))
        value = getattr(named, action.dest)
        given = " ".join(value) if isinstance(value, list) else value
        wanted = _wanted(argument.field.type_stripped)
        return self._error(f"{_called(action)} is {given!r}; it must be {wanted}")


def _called(action: Any) -> str:
    """The name of a flag, or a description of a positional argument."""
    if action.option_strings:
        return str(max(action.option_strings, key=len))
    return f"{action.dest.split('.')[-1].replace('_', ' ')} ({action.metavar or action.dest})"


def _wanted(kind: Any) -> str:
    parts = [part for part in get_args(kind) if part not in (NoneType, ...)]
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(_wanted, parts))
    if get_origin(kind) in (tuple, list) and parts:
        each = describe(parts[0])
        return f"one or more of these: {each}"
    return describe(kind)


def _move_rare_flags(parser: Any, groups: Mapping[str, Sequence[str]]) -> None:
    """Show flags in groups of their own, after the common ones.

    Args:
        parser: prints the help.
        groups: field names by title of the group.
    """
    for title, names in groups.items():
        flags = {f"--{prefix}{n.replace('_', '-')}" for n in names for prefix in ("", "no-")}
        rare = parser.add_argument_group(title)
        for group in parser._action_groups[:-1]:
            moved = [a for a in group._group_actions if flags & set(a.option_strings)]
            rare._group_actions += moved
            group._group_actions[:] = [a for a in group._group_actions if a not in moved]


def _print_help(parser: Any) -> None:
    """Print help without tyro's additions that tell nothing."""
    for action in parser._actions:
        if isinstance(action.metavar, str):
            action.metavar = action.metavar.replace("{None}|", "").replace("|{None}", "")
        if "-h" in action.option_strings:
            action.help = "Show this help, and end."
        words = EMPTY_DEFAULT.sub("", action.help or "")
        words = " ".join(words.split())  # drop the line breaks of the source
        hint = HINT.search(words)
        action.help = words
        if hint:
            action.help = f"{words[: hint.start()]}[dim]{hint[0]}[/dim]"
    parser.print_help()
