"""The picture of a comparison: score against latency, one panel per format."""

from math import ceil
from pathlib import Path
from typing import Any

from lesionlite.benchmark.compare.trials import VALIDATION
from lesionlite.train.figures import as_is, new_figure, save_figure

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
ACROSS = 2  # panels in a row


def draw_comparison(document: dict[str, Any], file: Path) -> None:
    """Draw weighted F1 on validation against median latency, for each format.

    A colour is a value, a marker a precision. A hollow marker failed its gate. The line joins the
    files of which none is both faster and better.

    Args:
        document: The contents of compare.json.
        file: PNG to write.
    """
    from matplotlib.ticker import LogLocator

    entries = document["entries"]
    timed = [(e, f) for e in entries for f in e["files"] if f["ms"] is not None]
    formats = list(dict.fromkeys(f["format"] for _, f in timed))
    precisions = list(dict.fromkeys(f["precision"] for _, f in timed))
    rows = ceil(len(formats) / ACROSS)
    figure = new_figure(10, 0.8 + 3.2 * rows)
    for index, name in enumerate(formats):
        axes = figure.add_subplot(rows, min(ACROSS, len(formats)), index + 1)
        axes.set(title=name, xscale="log", xlabel="median latency, ms")
        axes.set_ylabel(as_is(VALIDATION))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
        axes.xaxis.set_minor_formatter("")
        axes.grid(alpha=0.3, which="both")
        for number, entry in enumerate(entries):
            for one in entry["files"]:
                if one["format"] == name and one["ms"] is not None:
                    _mark(axes, entry, one, f"C{number % 10}", precisions.index(one["precision"]))
        best = sorted(
            (f["ms"], e["scores"][VALIDATION]["mean"])
            for e, f in timed
            if f["format"] == name and f["best_for_time"]
        )
        axes.plot(*zip(*best, strict=True) if best else ([], []), color="gray", lw=1, zorder=0)
    _legend(figure, entries, precisions)
    save_figure(figure, file)


def _mark(axes: Any, entry: dict[str, Any], file: dict[str, Any], color: str, shape: int) -> None:
    score = entry["scores"][VALIDATION]
    axes.errorbar(
        file["ms"],
        score["mean"],
        yerr=score["spread"],
        fmt=MARKERS[shape % len(MARKERS)],
        color=color,
        mfc=color if file["status"] == "pass" else "none",
        capsize=2,
    )


def _legend(figure: Any, entries: list[dict[str, Any]], precisions: list[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=f"C{number % 10}", lw=4, label=as_is(entry["value"]))
        for number, entry in enumerate(entries)
    ]
    handles += [
        Line2D([], [], color="gray", ls="", marker=MARKERS[i % len(MARKERS)], label=name)
        for i, name in enumerate(precisions)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
