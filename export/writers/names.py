"""Names of what is inside a file."""

from collections import Counter
from collections.abc import Iterable, Iterator


def numbered(names: Iterable[str]) -> Iterator[str]:
    """Each name, with a number if it was there before: a, b, a_1."""
    count: Counter[str] = Counter()
    for name in names:
        yield f"{name}_{count[name]}" if count[name] else name
        count[name] += 1
