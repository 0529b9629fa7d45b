"""What a target takes of a file."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["wholly", "in pieces", "refused", "faulty", "warning", "unknown"]


@dataclass(frozen=True)
class Left:
    """An operation that a target does not take, or computes wrongly.

    Attributes:
        operation: Its type, as the file's format names it.
        layer: The layer that it belongs to, as a module of the network; "" if unknown.
        why: The reason that the target gives; "" if it gives none.
    """

    operation: str
    layer: str = ""
    why: str = ""


@dataclass(frozen=True)
class Verdict:
    """What one target takes of one file.

    Attributes:
        artifact: File name.
        target: Key of `TARGETS`.
        outcome: wholly; in pieces, between which a CPU computes the operations that are left;
            refused; faulty, if the target is known to compute an operation wrongly; warning, if a
            rule says that it may not be taken; unknown, if it cannot be told on this machine.
        pieces: How many parts of the network the target computes.
        taken: How many operations it takes.
        total: How many operations the file has.
        left: The operations to blame.
        reason: Why the outcome is not wholly; "" if `left` says it.
    """

    artifact: str
    target: str
    outcome: Outcome
    pieces: int = 0
    taken: int = 0
    total: int = 0
    left: tuple[Left, ...] = ()
    reason: str = ""

    def sentence(self) -> str:
        """Why the outcome is not wholly, in one line; "" if it is."""
        if self.outcome == "wholly":
            return ""
        words = [self.reason] if self.reason else []
        if self.outcome == "in pieces":
            pieces = "1 piece" if self.pieces == 1 else f"{self.pieces} pieces"
            words.append(f"{self.taken} of {self.total} operations in {pieces}")
        blamed = list(dict.fromkeys(_blame(one) for one in self.left))
        words += blamed[:3]
        more = len(blamed) - 3
        return "; ".join(words) + (f"; and {more} more" if more > 0 else "")


def _blame(left: Left) -> str:
    where = f" in {left.layer}" if left.layer else ""
    return f"{left.operation}{where}" + (f": {left.why}" if left.why else "")


def from_pieces(
    artifact: str, target: str, pieces: int, total: int, left: Iterable[Left]
) -> Verdict:
    """The verdict on a file of which a target takes all operations but those in `left`."""
    blamed = tuple(left)
    taken = total - len(blamed)
    outcome: Outcome = "wholly" if not blamed and pieces == 1 else "in pieces"
    if not taken:
        outcome = "refused"
    return Verdict(artifact, target, outcome, pieces, taken, total, blamed)
