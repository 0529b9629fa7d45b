"""What w8a8 claims to be in 8 bits is so in the files, and in the runtimes that tell."""

import shutil
from pathlib import Path

import pytest

from lesionlite.export.formats import FORMATS, artifact_name
from lesionlite.export.quantize.plan import PLAN, Plan
from tests.export.int8_counts import COUNTED, Counts

# At this small side, attention in the last block has one patch. A softmax of one number is 1, so
# the converter to TFLite drops the layer that gives the number.
FOLDED = 1e-4


def counted(artifacts: Path, format: str, precision: str, folder: Path) -> Counts:
    """Of a copy, because counting writes files beside it."""
    name = artifact_name("mobilevitv2_050", FORMATS[format], precision)
    source, copy = artifacts / name, folder / name
    (shutil.copytree if source.is_dir() else shutil.copy)(source, copy)
    return COUNTED[format](copy)


@pytest.mark.parametrize("format", COUNTED)
def test_as_many_multiply_adds_are_of_integers_as_the_plan_says(
    format: str, artifacts: Path, tmp_path: Path
) -> None:
    plan = Plan.read(artifacts / PLAN)
    counts = counted(artifacts, format, "w8a8", tmp_path)
    claimed = sum(plan.macs[name] for name in plan.layers)
    assert (1 - FOLDED) * claimed <= counts[True] <= claimed and claimed > 0
    rest = sum(count for name, count in plan.macs.items() if name not in plan.layers)
    # The rest is layers in float, and the products of attention, which are no layers.
    assert rest <= counts[False] <= rest + 0.02 * sum(plan.macs.values())


@pytest.mark.parametrize(
    "format, precision",
    [(format, "fp32") for format in COUNTED] + [("onnx", "w8"), ("tflite", "w8"), ("coreml", "w8")],
)
def test_files_that_compute_in_float_have_none(
    format: str, precision: str, artifacts: Path, tmp_path: Path
) -> None:
    """In w8 the weights alone are integers."""
    plan = Plan.read(artifacts / PLAN)
    counts = counted(artifacts, format, precision, tmp_path)
    assert counts[True] == 0 and counts[False] >= (1 - FOLDED) * sum(plan.macs.values())
