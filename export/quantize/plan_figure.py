"""A figure of a quantization plan: each layer's sensitivity, and whether it stays in float."""

from pathlib import Path

from lesionlite.export.quantize.plan import Plan
from lesionlite.files import replacing
from lesionlite.train.figures import new_figure

SHOWN = 30  # the most sensitive layers; the bars of others would be too short to see
FLOOR = 1e-7  # nats; the axis is logarithmic and cannot show 0


def plan_figure(plan: Plan, file: Path) -> None:
    """Draw one bar for each of the most sensitive layers, coloured by where the plan runs it.

    Args:
        plan: the plan.
        file: PNG to write.
    """
    in_int8 = {*plan.layers, *plan.activations}
    names = sorted(plan.sensitivity, key=lambda name: -plan.sensitivity[name])[:SHOWN]
    figure = new_figure(9, 1.5 + 0.22 * len(names))
    axis = figure.subplots()
    for label, colour, chosen in (("8 bits", "tab:blue", True), ("float", "tab:orange", False)):
        rows = [row for row, name in enumerate(names) if (name in in_int8) is chosen]
        widths = [max(plan.sensitivity[names[row]], FLOOR) for row in rows]
        axis.barh(rows, widths, color=colour, label=label)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.invert_yaxis()
    axis.set(xscale="log", xlabel="divergence of the answers by rounding this layer alone, nats")
    axis.grid(axis="x", alpha=0.3)
    axis.legend(loc="lower right")
    axis.set_title(
        f"{plan.int8_share:.1%} of the multiply-adds in 8 bits; all of it together: "
        f"{plan.divergence:.1e} nats",
        fontsize=10,
    )
    with replacing(file) as temporary:
        # matplotlib writes its version into PNG files otherwise
        figure.savefig(temporary, metadata={"Software": None})
