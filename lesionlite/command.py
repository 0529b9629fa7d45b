"""What a command is: a dataclass of flags that can `run`."""

from typing import Annotated, Any, Protocol

from tyro.conf import arg

Outcome = tuple[dict[str, Any], int]
"""The document that --json prints, and the exit code."""
Json = Annotated[bool, arg(help="Print one JSON document on standard output, words on the other.")]
SHOWN = 20
"""How many rows of a long list a command shows on the terminal."""


class Command(Protocol):
    """What the command line makes of its flags."""

    @property
    def json(self) -> bool:
        """Whether to print the document."""

    def run(self) -> Outcome:
        """Do it."""
