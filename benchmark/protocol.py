"""What `candidate.py` and `worker.py` say to each other: one JSON object per line.

A command is one of the records of `COMMANDS`, with its name under "command". The worker answers
with that command's `Answer`, or with {"error": "..."}; `Predict` is also answered by one
{"progress": row} for each image.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from lesionlite.documents import structure


@dataclass(frozen=True)
class Opener:
    """A function that opens a file in the worker process.

    Attributes:
        function: "module:function". It is called with `path`, `threads` and `arguments` as keyword
            arguments, and returns a `Subject`.
        arguments: JSON values.
    """

    function: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """A command ended; there is nothing to tell."""


@dataclass(frozen=True)
class Opened:
    """What was opened.

    Attributes:
        load_ms: Time to open it a second time.
        runtime: What executes it, with its version.
        native: False if a reference executor stands in for the format's own runtime.
        contract: As JSON; "" if it has none.
        multiply_adds: Of one execution; 0 if unknown.
        peak_memory_bytes: Of the process, after loading and one query; 0 if not measured.
    """

    load_ms: float
    runtime: str
    native: bool = True
    contract: str = ""
    multiply_adds: int = 0
    peak_memory_bytes: int = 0


@dataclass(frozen=True)
class Settled:
    """Whether the times settled in the warm-up."""

    settled: bool


@dataclass(frozen=True)
class Times:
    """Times of single queries, in milliseconds."""

    ms: tuple[float, ...]


@dataclass(frozen=True)
class Open:
    """Open a file; later commands are about it."""

    path: Path
    threads: int
    opener: Opener
    Answer: ClassVar = Opened


@dataclass(frozen=True)
class Call:
    """Call a "module:function" with keyword arguments; its result is dropped."""

    function: str
    arguments: dict[str, Any]
    Answer: ClassVar = Done


@dataclass(frozen=True)
class Predict:
    """Classify `rows` of the .npy file `images` into the same rows of the .npy file `out`."""

    images: Path
    out: Path
    rows: tuple[int, ...]
    Answer: ClassVar = Done


@dataclass(frozen=True)
class WarmUp:
    """Query the first of `images` until the times settle."""

    images: Path
    Answer: ClassVar = Settled


@dataclass(frozen=True)
class Burst:
    """Query the first of `images` again and again, for about so many seconds."""

    images: Path
    seconds: float
    Answer: ClassVar = Times


Command = Open | Call | Predict | WarmUp | Burst
COMMANDS: dict[str, type[Command]] = {
    kind.__name__: kind for kind in (Open, Call, Predict, WarmUp, Burst)
}


def to_line(command: Command) -> str:
    """A command as one line of ASCII. File names of any bytes survive: JSON escapes them."""
    document = {"command": type(command).__name__, **asdict(command)}
    return json.dumps(document, default=str) + "\n"


def from_line(line: str) -> Command:
    """The command of one line."""
    document = json.loads(line)
    command: Command = structure(document, COMMANDS[document.pop("command")])
    return command
