"""The messages between `candidate.py` and `worker.py`: one JSON object per line.

A command is one of the records of `COMMANDS`, with its name under "command". The worker answers
with that command's `Answer`, or with {"error": "..."}. For `Classify` it also sends
{"progress": row} after each image.
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
        emulated: An emulator executes the file. It takes minutes to open it and for each image, so
            the worker opens it once, and measures neither time nor memory.
    """

    function: str
    arguments: dict[str, Any] = field(default_factory=dict)
    emulated: bool = False


@dataclass(frozen=True)
class Done:
    """A command succeeded and has no result."""


@dataclass(frozen=True)
class Opened:
    """The file that was opened.

    Attributes:
        load_ms: Time of the second of two loads, in milliseconds; 0 if not measured.
        runtime: What executes it, with its version.
        native: False if a reference executor stands in for the format's own runtime.
        contract: The contract in the file, as JSON; "" if it has none.
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
    """Whether the times became steady in the warm-up."""

    settled: bool


@dataclass(frozen=True)
class Times:
    """Times of single queries, in milliseconds."""

    ms: tuple[float, ...]


@dataclass(frozen=True)
class Open:
    """Open a file; later commands apply to it."""

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
class Classify:
    """Classify `rows` of the .npy file `images`; write to the same rows of the .npy file `out`."""

    images: Path
    out: Path
    rows: tuple[int, ...]
    Answer: ClassVar = Done


@dataclass(frozen=True)
class WarmUp:
    """Query the first of `images` until the times are steady, for at most `seconds`."""

    images: Path
    seconds: float
    Answer: ClassVar = Settled


@dataclass(frozen=True)
class Burst:
    """Query the first of `images` repeatedly, for about `seconds`."""

    images: Path
    seconds: float
    Answer: ClassVar = Times


Command = Open | Call | Classify | WarmUp | Burst
COMMANDS: dict[str, type[Command]] = {
    kind.__name__: kind for kind in (Open, Call, Classify, WarmUp, Burst)
}


def to_line(command: Command) -> str:
    """A command as one line of ASCII. JSON escapes file names that are not valid UTF-8."""
    document = {"command": type(command).__name__, **asdict(command)}
    return json.dumps(document, default=str) + "\n"


def from_line(line: str) -> Command:
    """Parse one line.

    Raises:
        Mismatch: A field has the wrong type, or there are other fields.
    """
    document = json.loads(line)
    command: Command = structure(document, COMMANDS[document.pop("command")])
    return command
