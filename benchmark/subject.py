"""The types of what a worker process can open."""

from collections.abc import Callable
from dataclasses import dataclass

from lesionlite.export.execute.predictor import Predictor


@dataclass(frozen=True)
class Timed:
    """A file or a matrix product that can only be timed: it gives no probabilities.

    Attributes:
        query: Executes it once, on an input made in advance.
        runtime: What executes it, with its version.
        multiply_adds: Of one execution; 0 if unknown.
    """

    query: Callable[[], object]
    runtime: str
    multiply_adds: int = 0


Subject = Predictor | Timed
