"""The picture of a run's operating points."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lesionlite.metrics import in_words
from lesionlite.train.calibrate.operating_point import SCORES_SHOWN, OperatingPoint
from lesionlite.train.figures import as_is, new_figure, save_figure

SHOWN = 5  # classes, if no floor names some


def draw_operating_points(
    points: Sequence[OperatingPoint], chosen: float, floors: Mapping[str, float], file: Path
) -> None:
    """Draw scores and recalls by tau.

    Args:
        points: by rising tau.
        chosen: tau that was taken.
        floors: of recall, by label, whose classes are shown; else those whose recall falls lowest.
        file: PNG to write.
    """
    figure = new_figure(9, 4)
    scores, recalls = figure.subplots(1, 2, sharex=True, sharey=True)
    taus = [point.tau for point in points]
    for name in SCORES_SHOWN:
        label = in_words(name)
        scores.plot(taus, [getattr(point, name) for point in points], label=label)
    for label in list(floors) or _rarest(points):
        (line,) = recalls.plot(taus, [point.recall[label] for point in points], label=as_is(label))
        if label in floors:
            recalls.axhline(floors[label], color=line.get_color(), linestyle=":")
    scores.set(ylabel="on validation", ylim=(0, 1), title="scores")
    recalls.set(title="recall of classes")
    for axis in (scores, recalls):
        axis.axvline(chosen, color="grey", linestyle="--", label=f"taken: {chosen:g}")
        axis.set(xlabel="tau: 0 is training's prior, 1 the target's")
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    save_figure(figure, file)


def _rarest(points: Sequence[OperatingPoint]) -> list[str]:
    """The classes whose recall falls lowest."""
    lowest = {label: min(p.recall[label] for p in points) for label in points[0].recall}
    return sorted(lowest, key=lambda label: lowest[label])[:SHOWN]
