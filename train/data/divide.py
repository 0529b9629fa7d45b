"""Divide groups of images into splits."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from lesionlite.train.data.sources import Sample


def divide(samples: Sequence[Sample], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Assign every group to a split so that each class comes near to its shares.

    Groups go largest first to the split that lacks most in proportion (Sainte-Laguë's rule for
    seats in a parliament), so each split also gets its share of large and of small groups.

    Args:
        samples: images with class and group.
        shares: fraction per split.
        seed: shuffles groups of equal size.

    Returns:
        The split of each group.
    """
    groups: dict[str, Counter[str]] = {}
    for sample in samples:
        groups.setdefault(sample.group, Counter())[sample.label] += 1
    totals = Counter(sample.label for sample in samples)
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda group: -groups[group].total())
    have: dict[str, Counter[str]] = {split: Counter() for split in shares}
    homes: dict[str, str] = {}
    for group in order:

        def fullness(split: str, group: str = group) -> float:
            return sum(
                number * (have[split][label] + number / 2) / (shares[split] * totals[label])
                for label, number in groups[group].items()
            )

        homes[group] = min(shares, key=fullness)
        have[homes[group]].update(groups[group])
    for label in totals:
        _reach_every_split([group for group in order if groups[group][label]], shares, homes)
    return homes


def _reach_every_split(groups: list[str], splits: Iterable[str], homes: dict[str, str]) -> None:
    """If a class has no group in a split, move its smallest group there from its largest split."""
    for split in splits:
        spread = Counter(homes[group] for group in groups)
        donor, number = spread.most_common(1)[0]
        if split not in spread and number > 1:
            homes[[group for group in groups if homes[group] == donor][-1]] = split
