"""What the operations of a file cost, added up by kind and by layer."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lesionlite.benchmark.worker import burst

WARM_UP, LEAST_QUERIES, SECONDS = 20, 50, 0.03  # the last is the least duration of a burst


@dataclass(frozen=True)
class Cost:
    """What one operation of a file takes.

    Attributes:
        operation: its kind, as the format names it.
        layer: that it belongs to; "" if the file does not tell.
        milliseconds: of one execution.
        multiply_adds: of a convolution or a product of matrices; else 0.
    """

    operation: str
    layer: str
    milliseconds: float
    multiply_adds: int = 0


@dataclass(frozen=True)
class Sum:
    """Operations that were added up.

    Attributes:
        name: a kind of operation, or a layer.
        operations: how many.
        kinds: of the operations, each once, in order.
        milliseconds: of all.
        multiply_adds: of all.
    """

    name: str
    operations: int
    kinds: tuple[str, ...]
    milliseconds: float
    multiply_adds: int

    @property
    def rate(self) -> float | None:
        """Multiply-adds per second, or None where there are none."""
        return 1000 * self.multiply_adds / self.milliseconds if self.multiply_adds else None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {**vars(self), "multiply_adds_per_second": self.rate}


def by_operation(costs: Iterable[Cost]) -> list[Sum]:
    """A sum for each kind of operation, the longest first."""
    return _sums(costs, lambda cost: cost.operation)


def by_layer(costs: Iterable[Cost]) -> list[Sum]:
    """A sum for each layer, the longest first."""
    return _sums(costs, lambda cost: cost.layer)


def _sums(costs: Iterable[Cost], key: Callable[[Cost], str]) -> list[Sum]:
    groups: dict[str, list[Cost]] = {}
    for cost in costs:
        groups.setdefault(key(cost), []).append(cost)
    sums = [
        Sum(
            name,
            len(group),
            tuple(dict.fromkeys(cost.operation for cost in group)),
            sum(cost.milliseconds for cost in group),
            sum(cost.multiply_adds for cost in group),
        )
        for name, group in groups.items()
    ]
    return sorted(sums, key=lambda one: -one.milliseconds)


def time_of(query: Callable[[], object]) -> float:
    """Milliseconds of one call, after some to warm up."""
    for _ in range(WARM_UP):
        query()
    times: list[float] = []
    while len(times) < LEAST_QUERIES:
        times += burst(query, SECONDS)
    return typical(times)


def typical(times: Sequence[float]) -> float:
    """The 20th percentile: what an operation takes when nothing disturbs it."""
    return float(np.percentile(times, 20))
