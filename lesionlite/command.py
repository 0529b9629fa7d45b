"""A command is a dataclass of flags with a method `run`."""

from typing import Annotated, Any, Protocol

from tyro.conf import arg

Outcome = tuple[dict[str, Any], int]
"""The document that --json prints, and the exit code."""
Json = Annotated[bool, arg(help="Print one JSON document on standard output, words on the other.")]
SHOWN = 20
"""Number of rows of a long list that a command prints."""


class Command(Protocol):
    """A parsed command."""

    @property
    def json(self) -> bool:
        """Whether to print the document as JSON."""

    def run(self) -> Outcome:
        """Run the command."""
