"""w8a8-int: no floats inside, its own plan, and one piece on NPUs that compute no floats."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lesionlite.benchmark.targets import hexagon, tflite_on_hexagon
from lesionlite.errors import LesionliteError
from lesionlite.export.config import ExportConfig
from lesionlite.export.execute.predictor import load
from lesionlite.export.manifest import read_manifest
from lesionlite.export.quantize.plan import INTEGER_PLAN, PLAN, Plan
from lesionlite.export.run import export
from lesionlite.export.verify import verify
from lesionlite.export.writers.tflite_file import operator_names, parse
from lesionlite.files import sha256_file
from tests.conftest import Shared

NAME = "mobilevitv2_050-w8a8-int.tflite"


@pytest.fixture
def made(run: Path, drawn: Path, shared: Shared) -> Path:
    """A folder with the w8a8-int file of the run."""
    config = ExportConfig(("tflite",), ("w8a8-int",), calibration=14, tuning_steps=4)
    return shared("integers", lambda folder: export(run, folder, config, drawn))


def float_operators(model: Any) -> list[str]:
    """The operators, in order, with a float among their inputs and outputs."""
    names, graph = operator_names(model), model.subgraphs[0]
    return [
        names[operator.opcodeIndex]
        for operator in graph.operators
        if any(graph.tensors[i].type == 0 for i in (*operator.inputs, *operator.outputs) if i >= 0)
    ]


def test_nothing_inside_is_float(made: Path, artifacts: Path) -> None:
    model = parse((made / NAME).read_bytes())
    # The last operator gives the probabilities.
    assert float_operators(model) == ["DEQUANTIZE"] and "CAST" not in operator_names(model)
    assert operator_names(model)[model.subgraphs[0].operators[-1].opcodeIndex] == "DEQUANTIZE"
    one = model.subgraphs[0].operators[100]
    model.subgraphs[0].tensors[one.outputs[0]].type = 0
    assert operator_names(model)[one.opcodeIndex] in float_operators(model)
    planted = parse((artifacts / "mobilevitv2_050-w8a8.tflite").read_bytes())
    assert {"RSQRT", "SOFTMAX", "ADD"} <= set(float_operators(planted))


def test_it_answers_nearly_as_pytorch(made: Path, run: Path, images: np.ndarray) -> None:
    found, expected = load(made / NAME).predict(images[:8]), load(run).predict(images[:8])
    np.testing.assert_allclose(found.sum(1), 1, atol=2e-3)
    # Two epochs of training leave near-ties.
    assert np.abs(found - expected).mean() < 0.1


def test_its_plan_has_every_depthwise_convolution(made: Path) -> None:
    own = Plan.read(made / INTEGER_PLAN)
    assert {"blocks.0.conv2_kxk.conv", "blocks.1.conv2_kxk.conv"} <= set(own.layers)
    (row,) = read_manifest(made)
    assert row.plan == sha256_file(made / INTEGER_PLAN)
    assert verify(made).passed and not (made / PLAN).exists()  # that is of w8a8


def test_npus_without_floats_take_it_wholly(made: Path) -> None:
    try:
        hexagon.refuse_no_npu()
    except LesionliteError as error:
        pytest.skip(str(error))
    for soc in ("sm7550", "sm6650", "sm8350", "sm8650"):
        verdict = tflite_on_hexagon.judge(made / NAME, soc)
        assert (verdict.outcome, verdict.pieces) == ("wholly", 1), verdict
