"""What calibration images add to the input of every converter: rounded weights, and plans."""

from collections.abc import Container
from dataclasses import replace
from typing import TYPE_CHECKING

from lesionlite.export.config import ExportConfig
from lesionlite.export.precision import INTEGERS, PRECISIONS
from lesionlite.export.source import Source

if TYPE_CHECKING:
    from lesionlite.train.data.images import Pixels


def with_plans(
    source: Source, images: "Pixels", config: ExportConfig, precisions: Container[str]
) -> Source:
    """The source, with rounded weights, and plans.

    Args:
        source: without them.
        images: for calibration, uint8 [N, S, S, 3].
        config: the settings of the plans.
        precisions: names of those to write; plans are made for those that follow one.
    """
    from lesionlite.export.forms.attention import NCHW
    from lesionlite.export.quantize.search import make_integer_plan, make_plan
    from lesionlite.export.quantize.weights.weight_rounding import WeightRounder

    plan = integers = None
    rounder = WeightRounder(source.form(NCHW), images)
    if any(row.calibrated and name in precisions for name, row in PRECISIONS.items()):
        plan = make_plan(rounder, config)
        if INTEGERS in precisions:
            integers = make_integer_plan(rounder, plan, config)
    return replace(source, rounder=rounder, quantization=plan, integers=integers)
