"""w8a8 of networks that have the plain form: files answer as the plan's simulation."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lesionlite.export.check.untrained import untrained
from lesionlite.export.formats import FORMATS
from lesionlite.export.forms.attention import NCHW, NHWC
from lesionlite.export.forms.table import mobile_form
from lesionlite.export.forms.units import (
    HardSwish,
    Length,
    LengthOfMeans,
    LengthOfProducts,
    Norm,
    NormOfProducts,
    SoftmaxInThreeAxes,
)
from lesionlite.export.quantize.plan import Plan
from lesionlite.export.quantize.quantized_form import quantize
from lesionlite.export.quantize.ranges import choose_grids, observe
from lesionlite.export.quantize.tflite_plan import FloatModel, Recipe, _silu
from lesionlite.export.quantize.weights.weight_rounding import WeightRounder
from lesionlite.export.quantize.wiring import Wiring, trace
from lesionlite.export.quiet import quiet
from lesionlite.export.source import Source, example
from lesionlite.export.writers import to_tflite
from lesionlite.export.writers.tflite_file import operator_names, parse
from lesionlite.export.writers.to_tflite import _float_model

SIDE = 64


def planned(model: str) -> tuple[Any, Wiring, Plan, Any]:
    """A network with random weights, and a plan that has every layer but the last in 8 bits."""
    source, images, _ = untrained(model, SIDE, least_variance=1)  # limits are narrow
    form = mobile_form(source.network, source.contract)
    wiring = trace(form, example(source.contract))
    layers = tuple(name for name in wiring.layers if name not in wiring.heads)
    plan = Plan(
        layers=layers,
        activations=tuple(wiring.silus()),
        grids=choose_grids(wiring, observe(wiring, images, 0), "min-max"),
        corrections={n: (0.0,) * len(form.get_submodule(n).weight) for n in layers},
        sensitivity={},
        macs={name: node.macs for name, node in wiring.layers.items()},
    )
    return source, wiring, plan, images


def in_integers(source: Source, plan: Plan, images: Any) -> Source:
    """A source whose w8a8-int file follows a plan."""
    return replace(source, integers=plan, rounder=WeightRounder(source.form(NCHW), images))


def apart(source: Source, wiring: Wiring, plan: Plan, images: Any, name: str, path: Path) -> float:
    """The largest |difference of probability| between a file and the plan's simulation."""
    row = FORMATS[name]
    row.convert(Source(source.network, source.contract, source.metadata, plan), {"w8a8": path})
    runner = row.toolchain().load(path, 2)
    form = mobile_form(source.network, source.contract)
    with torch.no_grad():
        expected = quantize(form, plan, wiring)(torch.from_numpy(images)).numpy()
    found = np.stack([runner.classify(image) for image in images])
    return float(np.abs(found - expected).max())


def test_hard_sigmoids_and_clippings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, wiring, plan, images = planned("mobilenetv3_small_050")
    kinds = {node.kind for node in wiring.activations.values()}
    assert {"Hardsigmoid", "Hardswish"} <= kinds
    clipped = [name for name, node in wiring.layers.items() if node.clipping]
    assert clipped and all(plan.grids[wiring.layers[name].output].low == 0 for name in clipped)
    for name in ("tflite", "torchscript", "onnx"):
        path = tmp_path / f"right{FORMATS[name].suffix}"
        assert apart(source, wiring, plan, images, name, path) < 0.02, name
    right = apart(source, wiring, plan, images, "tflite", tmp_path / "right.tflite")
    monkeypatch.setattr(Recipe, "_output", lambda recipe, node: recipe._plan.grids[node.output])
    wrong = apart(source, wiring, plan, images, "tflite", tmp_path / "wrong.tflite")
    assert wrong > 3 * right  # the grid of what comes before the hard sigmoid


def test_padding_between_8_bits_and_float(tmp_path: Path) -> None:
    source, wiring, plan, images = planned("tf_efficientnet_lite0")
    padded = [name for name, node in wiring.layers.items() if node.passed]
    assert len(padded) == 5
    before = {wiring.layers[name].input for name in padded}
    layers = tuple(name for name in plan.layers if wiring.layers[name].output in before)
    some = Plan(
        **{
            **vars(plan),
            "layers": layers,
            "corrections": {name: plan.corrections[name] for name in layers},
        }
    )
    for name in ("executorch", "tflite"):
        path = tmp_path / f"some{FORMATS[name].suffix}"
        assert apart(source, wiring, some, images, name, path) < 0.05, name


@pytest.mark.parametrize("model", ["mobilevit_xxs", "edgenext_xx_small"])
def test_every_layer_is_in_the_tflite_file(model: str) -> None:
    source, _, _ = untrained(model, SIDE)
    form = mobile_form(source.network, source.contract, NHWC)
    wiring = trace(form, example(source.contract))
    with quiet():
        file = FloatModel(_float_model(form, example(source.contract)))
    for name in wiring.layers:
        layer: Any = form.get_submodule(name)
        operator = file.find(layer.weight.numpy())
        assert layer.bias is None or operator.inputs[2] >= 0, name
        if wiring.layers[name].activation in wiring.silus():
            tensor = operator.outputs[0]
            while (moved := file.reshaped(tensor)) is not None:
                tensor = moved.outputs[0]
            assert file.code(_silu(file, tensor)[0]) == "LOGISTIC", name


@pytest.mark.parametrize(
    ("model", "lacking"),
    [("mobilenetv3_small_050", "HARD_SWISH"), ("edgenext_xx_small", "SQUARED_DIFFERENCE|ABS")],
)
def test_units_that_16_bits_lack_are_spelled_in_others(
    model: str, lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _, plan, images = planned(model)
    path = tmp_path / "int.tflite"
    row, whole = FORMATS["tflite"], in_integers(source, plan, images)
    row.convert(whole, {"w8a8-int": path})
    runner = row.toolchain().load(path, 2)
    answers = np.stack([runner.classify(image) for image in images])
    with torch.no_grad():
        form = mobile_form(source.network, source.contract)
        expected = form(torch.from_numpy(images)).numpy()
    assert (answers.argmax(1) == expected.argmax(1)).mean() > 0.5
    monkeypatch.setattr(to_tflite, "_spell_for_sixteen_bits", lambda _: None)
    with pytest.raises(ValueError, match=lacking):
        row.convert(whole, {"w8a8-int": path})


def largest_window(path: Path) -> int:
    """The most taps of a depthwise convolution in a `.tflite` file."""
    tree = parse(path.read_bytes())
    names, graph = operator_names(tree), tree.subgraphs[0]
    depthwise = [op for op in graph.operators if names[op.opcodeIndex] == "DEPTHWISE_CONV_2D"]
    shapes = [graph.tensors[op.inputs[1]].shape for op in depthwise]
    return max(rows * columns for _, rows, columns, _ in shapes)


def test_large_windows_are_in_pieces_for_cpus(tmp_path: Path) -> None:
    source, wiring, plan, images = planned("edgenext_xx_small")
    large = [n for n, node in wiring.layers.items() if "dw" in n and node.weights % 49 == 0]
    assert set(large) & set(plan.layers)
    path, whole = tmp_path / "file.tflite", in_integers(source, plan, images)
    row = FORMATS["tflite"]
    for precision, taps in {"fp32": 25, "fp16": 25, "w8": 25, "w8a8-int": 81}.items():
        row.convert(whole, {precision: path})
        assert largest_window(path) == taps, precision
    for name in ("tflite", "executorch"):
        path = tmp_path / f"file{FORMATS[name].suffix}"
        assert apart(source, wiring, plan, images, name, path) < 0.05, name
    assert largest_window(tmp_path / "file.tflite") == 25


def test_a_hard_swish_of_sums_and_products() -> None:
    x = torch.linspace(-5, 5, 101, dtype=torch.float64)
    torch.testing.assert_close(HardSwish()(x), torch.nn.functional.hardswish(x))


def test_a_norm_over_several_axes_is_not_spelled_as_one_over_the_last() -> None:
    form = torch.nn.Sequential(torch.nn.LayerNorm((3, 4)), torch.nn.LayerNorm(4))
    to_tflite._spell_for_sixteen_bits(form)
    assert [type(norm) for norm in form] == [torch.nn.LayerNorm, Norm]


@pytest.mark.parametrize("affine", [True, False])
def test_norms_and_lengths_of_other_operations(affine: bool) -> None:
    x = torch.randn((2, 5, 8), dtype=torch.float64)
    norm = torch.nn.LayerNorm(8, 1e-3, affine, dtype=torch.float64).requires_grad_(False)
    if affine:
        norm.weight.copy_(torch.rand(8))
        norm.bias.copy_(torch.rand(8))
    for made in (Norm(norm, torch.float64), NormOfProducts(norm, torch.float64)):
        torch.testing.assert_close(made(x), norm(x))
    for length in (LengthOfMeans(), LengthOfProducts(8, torch.float64)):
        torch.testing.assert_close(length(x), Length()(x))
    four = torch.randn((2, 3, 5, 8), dtype=torch.float64)
    torch.testing.assert_close(SoftmaxInThreeAxes()(four), four.softmax(-1))
