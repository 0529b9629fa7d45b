"""The plan and what makes it: grids, wiring, sensitivities, the search, the quantized form."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lesionlite.errors import LesionliteError
from lesionlite.export.config import RULES, ExportConfig
from lesionlite.export.formats import FORMATS
from lesionlite.export.forms.attention import GROUPED, NCHW, NHWC, ORT, TORCH
from lesionlite.export.forms.mobilevitv2 import MobileForm
from lesionlite.export.manifest import CALIBRATION
from lesionlite.export.metadata import Metadata
from lesionlite.export.quantize import rounding
from lesionlite.export.quantize.plan import PLAN, PLAN_FIGURE, Plan
from lesionlite.export.quantize.quant_params import QuantParams, weight_scales
from lesionlite.export.quantize.quantized_form import FakeQuantize, QuantizedLayer, quantize, swap
from lesionlite.export.quantize.ranges import (
    RANGE_RULES,
    TensorStatistics,
    choose_grids,
    min_max,
    mse,
    observe,
    percentile,
)
from lesionlite.export.quantize.search import (
    PlanEvaluator,
    _back_to_int8,
    make_plan,
    move_to_float,
    with_silus,
)
from lesionlite.export.quantize.sensitivity import bias_corrections, divergence, sensitivities
from lesionlite.export.quantize.weights.weight_rounding import WeightRounder
from lesionlite.export.quantize.wiring import Wiring, trace
from lesionlite.export.source import Source
from lesionlite.train.data.images import load_inputs
from lesionlite.train.model import load_run


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def plan(rounder: WeightRounder) -> Plan:
    return make_plan(rounder, ExportConfig(tuning_steps=0))


def test_a_grid_holds_zero_and_reaches_its_ends() -> None:
    grid = QuantParams.covering(-1.0, 3.0)
    assert grid.low == pytest.approx(-1, abs=grid.scale) and grid.high == pytest.approx(3, abs=0.02)
    x = torch.tensor([-9.0, -1.0, 0.0, 0.001, 1.5, 9.0])
    rounded = rounding.rounded(x, grid)
    assert rounded[2] == 0 and rounded[0] == grid.low and rounded[-1] == pytest.approx(grid.high)
    assert (rounded - x)[1:-1].abs().max() <= grid.scale
    assert QuantParams.covering(2.0, 3.0).low == 0  # padding must stay exact
    for wrong in ((0.0, 3), (float("nan"), 3), (0.1, 256)):
        with pytest.raises(LesionliteError):
            QuantParams(*wrong)


def test_wiring_names_each_tensor_once(form: MobileForm, wiring: Wiring) -> None:
    layers = wiring.layers
    attention = "blocks.4.transformer.0.attn"
    assert layers[f"{attention}.query"].input == layers[f"{attention}.value"].input
    assert layers["blocks.0.conv2_kxk.conv"].input == "blocks.0.conv1_1x1.act.out"
    assert layers["blocks.1.conv1_1x1.conv"].input == "blocks.0.conv3_1x1.conv.out"
    assert layers[f"{attention}.value"].clipping == f"{attention}.act"
    assert layers[f"{attention}.value"].output == f"{attention}.act.out"
    assert wiring.heads == ("head",)
    assert len(wiring.silus()) == 25
    conv = layers["blocks.0.conv1_1x1.conv"]
    weight = form.blocks[0].conv1_1x1.conv.weight  # type: ignore[union-attr]
    assert conv.macs == weight.numel() * 32 * 32  # of a 64-pixel image, after the stem


@pytest.mark.parametrize("variant", [NHWC, GROUPED, ORT, TORCH])
def test_every_spelling_has_the_same_layers(run: Path, wiring: Wiring, variant: object) -> None:
    network, contract = load_run(run)
    other = trace(
        MobileForm(network, contract, variant),  # type: ignore[arg-type]
        torch.zeros(1, contract.side, contract.side, 3, dtype=torch.uint8),
    )
    assert other.layers.keys() == wiring.layers.keys()
    expected = {name: node.input for name, node in wiring.layers.items()}
    if variant is NHWC:  # the last block has one pixel in a group: nothing to sum before the key
        alone = [name for name in expected if name.startswith("blocks.8.") and "key" in name]
        assert len(alone) == 3
        expected |= {name: f"{name.removesuffix('key')}query.in" for name in alone}
    assert {name: node.input for name, node in other.layers.items()} == expected


def test_ranges_by_squared_error_beat_those_of_the_extremes() -> None:
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(20_000, generator=generator)
    sample[0] = 60.0
    values = TensorStatistics(float(sample.min()), float(sample.max()), sample)

    def error(grid: QuantParams, behind: object = None) -> float:
        f = F.silu if behind else (lambda x: x)
        return float((f(rounding.rounded(sample, grid)) - f(sample)).square().mean())

    assert min_max(values, "").high == pytest.approx(60, rel=0.01)
    assert percentile(values, "").high < 5
    assert error(mse(values, "")) < error(min_max(values, ""))
    values = TensorStatistics(
        -60.0, float(sample[1:].max()), torch.cat([sample[1:], torch.tensor([-60.0])])
    )
    assert mse(values, "SiLU").low > -30  # a SiLU does not see what lies far below zero


def test_every_rule_of_the_command_line_has_a_function() -> None:
    assert set(RANGE_RULES) == set(RULES)


def test_a_plan_reads_back_as_it_was_written(plan: Plan, tmp_path: Path) -> None:
    plan.write(tmp_path / PLAN)
    assert Plan.read(tmp_path / PLAN) == plan
    (tmp_path / PLAN).write_text("{}")
    with pytest.raises(LesionliteError, match="make one with `lesionlite export`"):
        Plan.read(tmp_path / PLAN)


def test_the_search_keeps_its_promises(rounder: WeightRounder, plan: Plan, wiring: Wiring) -> None:
    """That it is deterministic is in test_reproducible: a second process makes the same files."""
    assert plan.int8_share >= ExportConfig().int8_share
    assert "head" not in plan.layers and "head" in plan.macs  # it was weighed, and stays in float
    between = wiring.silus()
    assert all(set(between[name]) <= set(plan.layers) for name in plan.activations)
    strict = make_plan(rounder, ExportConfig(divergence=0.0, tuning_steps=0))
    assert (
        len(strict.layers) < len(wiring.layers) - 1
        and strict.int8_share >= ExportConfig().int8_share
    )
    assert set(strict.layers) <= set(plan.layers)
    assert strict.grids == plan.grids and strict.sensitivity == plan.sensitivity


def test_a_layer_takes_its_silus_along(wiring: Wiring, plan: Plan) -> None:
    assert with_silus(wiring, "blocks.1.conv2_kxk.conv") == (
        "blocks.1.conv2_kxk.conv",
        "blocks.1.conv1_1x1.act",
        "blocks.1.conv2_kxk.act",
    )
    assert with_silus(wiring, "head") == ("head",)
    whole = replace(plan, layers=tuple(wiring.layers), activations=tuple(wiring.silus()))
    whole = replace(whole, corrections=dict.fromkeys(wiring.layers, (0.0,)))
    less = move_to_float(wiring, whole, ["head", "blocks.4.transformer.0.mlp.fc2"])
    assert set(whole.layers) - set(less.layers) == {"head", "blocks.4.transformer.0.mlp.fc2"}
    assert set(whole.activations) - set(less.activations) == {"blocks.4.transformer.0.mlp.act"}
    assert less.corrections.keys() == set(less.layers)


def test_layers_that_are_not_needed_in_float_go_back(
    form: MobileForm, rounder: WeightRounder, wiring: Wiring, images: np.ndarray, plan: Plan
) -> None:
    pixels = torch.from_numpy(images)
    grids = choose_grids(wiring, observe(wiring, images, 0), "mse")
    bad = wiring.layers["blocks.3.conv3_1x1.conv"].input
    grids[bad] = QuantParams(40 * grids[bad].scale, grids[bad].zero_point)
    layers = tuple(wiring.layers)
    whole = replace(
        plan,
        layers=layers,
        activations=tuple(wiring.silus()),
        grids=grids,
        corrections=bias_corrections(form, wiring, grids, layers, pixels),
    )
    needed = ["blocks.3.conv3_1x1.conv", "blocks.3.conv2_kxk.conv"]
    alone = ["blocks.5.conv1_1x1.conv", "blocks.5.conv2_kxk.conv"]  # with a SiLU between them
    much = move_to_float(wiring, whole, [*needed, *alone, "head"])
    evaluator = PlanEvaluator(rounder, wiring, pixels)
    much = evaluator.evaluate(much)
    target = 1.5 * much.divergence
    assert much.divergence <= target < evaluator.evaluate(whole).divergence
    kept = _back_to_int8(whole, much, evaluator, target)
    assert evaluator.evaluate(kept).divergence <= target and len(kept.layers) > len(much.layers)
    assert "head" in kept.layers and not set(alone) & set(kept.layers)


def test_sensitivity_notices_a_layer_on_a_bad_grid(
    form: MobileForm, wiring: Wiring, images: np.ndarray
) -> None:
    sample = torch.from_numpy(images[:6])
    grids = choose_grids(wiring, observe(wiring, images, 0), "mse")
    before = sensitivities(wiring, grids, sample)
    bad = wiring.layers["blocks.3.conv3_1x1.conv"].input
    after = sensitivities(wiring, {**grids, bad: QuantParams(3.0, 10)}, sample)
    assert after["blocks.3.conv3_1x1.conv"] > 10 * before["blocks.3.conv3_1x1.conv"]
    assert after["head"] == before["head"]
    logits = torch.randn(4, 3)
    assert divergence(logits, logits) == 0 < divergence(logits + torch.eye(4, 3), logits)


def test_a_bias_correction_restores_the_mean(
    form: MobileForm, wiring: Wiring, images: np.ndarray
) -> None:
    name = "blocks.0.conv1_1x1.conv"
    wire, batch = wiring.layers[name], torch.from_numpy(images)
    grids = {wire.input: QuantParams(0.05, 6), wire.output: QuantParams(0.05, 128)}
    shift = bias_corrections(form, wiring, grids, (name,), batch)[name]
    seen: list[torch.Tensor] = []
    layer = form.get_submodule(name)
    handle = layer.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    form(batch)
    handle.remove()

    def bias(correction: torch.Tensor | None) -> float:
        made = QuantizedLayer(
            layer, FakeQuantize(grids[wire.input], True), nn.Identity(), correction
        )
        return float((made(seen[0]) - layer(seen[0])).mean((0, 2, 3)).abs().max())

    assert bias(torch.tensor(shift)) < bias(None) / 10


def test_the_quantized_form_is_near_the_float_one_and_a_bad_grid_is_not(
    form: MobileForm, plan: Plan, wiring: Wiring, images: np.ndarray
) -> None:
    batch = torch.from_numpy(images)
    exact = form(batch)
    rounded = quantize(form, plan, wiring)
    assert 0 < (rounded(batch) - exact).abs().max() < 0.2
    torch.testing.assert_close(form(batch), exact)  # the form itself is left alone
    tensor = wiring.layers["blocks.1.conv3_1x1.conv"].input
    bad = replace(plan, grids={**plan.grids, tensor: QuantParams(5.0, 1)})
    assert (quantize(form, bad, wiring)(batch) - exact).abs().max() > 0.02


def test_an_exported_program_computes_what_eager_simulates(
    form: MobileForm, plan: Plan, wiring: Wiring, images: np.ndarray
) -> None:
    one = torch.from_numpy(images[:1])
    for signed in (True, False):
        rounded = quantize(form, plan, wiring, signed)
        program = torch.export.export(rounded, (one,))
        quantizers = [n for n in program.graph.nodes if "quantize_per_tensor" in str(n.target)]
        assert len(quantizers) >= 2 * len(plan.layers)
        torch.testing.assert_close(program.module()(one), rounded(one), rtol=0, atol=2e-2)


def test_weights_keep_to_127_steps_per_channel(form: MobileForm) -> None:
    layer = form.get_submodule("blocks.0.conv1_1x1.conv")
    made = QuantizedLayer(layer, nn.Identity(), nn.Identity())
    assert made.stored.abs().amax((1, 2, 3)).eq(127).all()
    scales = weight_scales(layer.weight)  # type: ignore[arg-type]
    assert ((made.weight - layer.weight).abs() <= scales[:, None, None, None] / 2 + 1e-6).all()  # type: ignore[operator]
    assert swap(form, "head", form.head) is form.head


def test_the_plan_and_its_picture_lie_beside_the_artifacts(artifacts: Path) -> None:
    plan = Plan.read(artifacts / PLAN)
    assert plan.images == 14 and plan.int8_share >= ExportConfig().int8_share
    assert (artifacts / PLAN_FIGURE).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("suffix", [row.suffix for row in FORMATS.values()])
def test_every_w8a8_file_follows_the_plan(
    suffix: str, artifacts: Path, run: Path, drawn: Path, images: np.ndarray
) -> None:
    from lesionlite.export.execute.predictor import load

    network, contract = load_run(run)
    plain = Source(network, contract, Metadata())
    files = [drawn / name for name in (artifacts / CALIBRATION).read_text().splitlines()]
    rounder = WeightRounder(plain.form(NCHW), load_inputs(files, contract))
    source = replace(plain, rounder=rounder, quantization=Plan.read(artifacts / PLAN))
    pixels = torch.from_numpy(images)
    expected = source.form(ORT if suffix == ".onnx" else NCHW, "w8a8")(pixels).numpy()
    exact = plain.form(NCHW)(pixels).numpy()
    got = load(artifacts / f"mobilevitv2_050-w8a8{suffix}").predict(images)
    # Nearer to the simulation than to the float network would need equal arithmetic to the bit
    # (fp16 in Core ML, float SiLUs in TorchScript); near enough to be the same grids it must be.
    assert np.abs(got - expected).mean() < 3 * np.abs(expected - exact).mean()
