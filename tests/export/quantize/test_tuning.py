"""Tuning: it mends a bad grid, leaves the network alone, and gives the same plan every time."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lesionlite.export.check.untrained import untrained
from lesionlite.export.config import ExportConfig
from lesionlite.export.forms.mobilevitv2 import MobileForm
from lesionlite.export.forms.table import mobile_form
from lesionlite.export.quantize import search
from lesionlite.export.quantize.plan import Plan
from lesionlite.export.quantize.quant_params import QuantParams
from lesionlite.export.quantize.quantized_form import QuantizedLayer
from lesionlite.export.quantize.ranges import choose_grids, observe
from lesionlite.export.quantize.rounding import rounded
from lesionlite.export.quantize.search import logits
from lesionlite.export.quantize.sensitivity import bias_corrections
from lesionlite.export.quantize.tuning import CHECKS, LearnedFakeQuantize, _thin, tune
from lesionlite.export.quantize.weights.weight_rounding import WeightRounder
from lesionlite.export.quantize.wiring import Wiring, trace


@pytest.fixture(scope="module")
def plan(form: MobileForm, wiring: Wiring, images: np.ndarray) -> Plan:
    """All in 8 bits, every grid ten times too coarse."""
    chosen = choose_grids(wiring, observe(wiring, images, 0), "mse")
    grids = {name: QuantParams(10 * grid.scale, grid.zero_point) for name, grid in chosen.items()}
    layers = tuple(wiring.layers)
    return Plan(
        layers=layers,
        activations=tuple(wiring.silus()),
        grids=grids,
        corrections=bias_corrections(form, wiring, grids, layers, torch.from_numpy(images)),
        sensitivity={},
        macs={name: wire.macs for name, wire in wiring.layers.items()},
    )


def test_bad_grids_are_mended(
    rounder: WeightRounder, wiring: Wiring, plan: Plan, images: np.ndarray
) -> None:
    pixels = torch.from_numpy(images)
    evaluator = search.PlanEvaluator(rounder, wiring, pixels)
    form: Any = evaluator.form(plan)
    before = {name: value.clone() for name, value in form.state_dict().items()}
    tuned = tune(form, wiring, plan, pixels, evaluator.reference, 150, rate=0.1)
    assert evaluator.evaluate(tuned).divergence < evaluator.evaluate(plan).divergence / 1.5
    assert sum(tuned.grids[n].scale < plan.grids[n].scale for n in plan.grids) > 50
    assert tuned.grids.keys() == plan.grids.keys() and tuned.layers == plan.layers
    assert tuned.corrections.keys() == plan.corrections.keys()
    after = form.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_same_seed_gives_the_same_plan(
    form: MobileForm, wiring: Wiring, plan: Plan, images: np.ndarray
) -> None:
    pixels = torch.from_numpy(images)
    reference = logits(form, pixels)
    tuned = tune(form, wiring, plan, pixels, reference, 3)
    assert tuned == tune(form, wiring, plan, pixels, reference, 3)
    assert tuned != tune(form, wiring, replace(plan, seed=1), pixels, reference, 3)


@pytest.mark.parametrize("share", CHECKS)
def test_a_hopeless_try_ends_early(
    share: float, form: MobileForm, wiring: Wiring, plan: Plan, images: np.ndarray
) -> None:
    pixels, early = torch.from_numpy(images), []

    def tuned(hopeless: bool) -> Plan:
        def is_hopeless(plan: Plan, done: float) -> bool:
            if done == share:
                early.append(plan)
            return hopeless and done == share

        return tune(form, wiring, plan, pixels, logits(form, pixels), 4, 1.0, is_hopeless)

    whole = tuned(False)
    assert tuned(True) == early[0] == early[1] and plan != early[0] != whole


def test_tuning_that_does_harm_is_not_kept(
    rounder: WeightRounder,
    wiring: Wiring,
    plan: Plan,
    images: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pixels, rates = torch.from_numpy(images), []

    def harmful(*given: Any) -> Plan:
        *_, start, _, _, _, rate, is_hopeless = given
        rates.append(rate)
        grids = {
            name: QuantParams(9 * grid.scale, grid.zero_point) for name, grid in plan.grids.items()
        }
        for share in CHECKS:
            assert is_hopeless(replace(plan, grids=grids), share) and not is_hopeless(start, share)
        return replace(plan, grids=grids)

    monkeypatch.setattr(search, "tune", harmful)
    evaluator = search.PlanEvaluator(rounder, wiring, pixels)
    fine = {
        name: QuantParams(grid.scale / 10, grid.zero_point) for name, grid in plan.grids.items()
    }
    kept = search._tuned(evaluator, evaluator, replace(plan, grids=fine), 2, 0.0)
    assert kept.grids == fine and kept.divergence > 0 and rates == [0.3, 0.1]
    search._tuned(evaluator, evaluator, replace(plan, grids=fine), 2, kept.divergence)
    assert rates[2:] == [0.1]  # a plan that diverges little is not moved far


def test_images_that_tune_a_plan_do_not_judge_it(
    rounder: WeightRounder, wiring: Wiring, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tuned plan that is better on the tuner's images alone is not kept."""
    judge, tuner = search._apart(rounder, wiring)
    judging, tuning = ({image.numpy().tobytes() for image in one.images} for one in (judge, tuner))
    assert len(judging) + len(tuning) == len(rounder.images) and not judging & tuning

    def evaluate(evaluator: search.PlanEvaluator, plan: Plan) -> Plan:
        better = plan.seed == 9 and evaluator is tuner
        return replace(plan, divergence=0.1 if better else 0.5)

    monkeypatch.setattr(search, "tune", lambda *_: replace(plan, seed=9))
    monkeypatch.setattr(search.PlanEvaluator, "evaluate", evaluate)
    assert search._tuned(judge, tuner, plan, 2, 0.0).seed == plan.seed
    assert search._tuned(tuner, judge, plan, 2, 0.0).seed == 9


@pytest.mark.parametrize(
    ("measured", "kept", "tried"),
    [
        ([0.0019], 0.0019, [(0.9, 240)]),
        ([0.0041, 0.0033], 0.0033, [(0.9, 240), (0.75, 720)]),
        ([0.0041, 0.0052], 0.0041, [(0.9, 240), (0.75, 720)]),
    ],
)
def test_what_diverges_too_much_gets_a_smaller_share_and_more_steps(
    plan: Plan,
    measured: list[float],
    kept: float,
    tried: list[tuple[float, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, shares, steps = iter(measured), [], []

    def searched(judge: Any, all_int8: Plan, share: float, target: float) -> Plan:
        shares.append(share)
        return plan

    def tuned(judge: Any, tuner: Any, plan: Plan, count: int, allowed: float) -> Plan:
        steps.append(count)
        return replace(plan, divergence=next(found))

    monkeypatch.setattr(search, "_searched", searched)
    monkeypatch.setattr(search, "_tuned", tuned)
    nothing: Any = None
    config = ExportConfig(divergence=0.001, tuning_steps=240, int8_share=0.75)
    best = search._searched_and_tuned(nothing, nothing, plan, config)
    assert best.divergence == kept
    assert list(zip(shares, steps, strict=True)) == tried


def test_layers_in_float_keep_their_bias_and_their_grids(
    form: MobileForm, wiring: Wiring, plan: Plan, images: np.ndarray
) -> None:
    pixels = torch.from_numpy(images)
    layers = tuple(name for name in plan.layers if name != "head")
    corrections = {name: plan.corrections[name] for name in layers}
    less = replace(plan, layers=layers, corrections=corrections)
    tuned = tune(form, wiring, less, pixels, logits(form, pixels), 2)
    assert "head" not in tuned.corrections
    assert tuned.grids["head.out"] == plan.grids["head.out"]


def test_a_learned_rounding_rounds_as_the_fixed_one_does() -> None:
    grid = QuantParams(0.1, 100)
    x = torch.linspace(-20, 20, 999).reshape(1, -1)
    torch.testing.assert_close(LearnedFakeQuantize(grid)(x), rounded(x, grid))
    assert LearnedFakeQuantize(grid).learned().zero_point == 100
    assert LearnedFakeQuantize(grid).learned().scale == pytest.approx(0.1)


@pytest.mark.parametrize("side", [7, 8])
def test_a_strided_convolution_of_few_channels_is_computed_in_a_safe_way(side: int) -> None:
    layer = QuantizedLayer(torch.nn.Conv2d(3, 8, 1, 2), torch.nn.Identity(), torch.nn.Identity())
    x = torch.randn(2, 3, side, side)
    before = layer(x)
    _thin(layer)
    assert layer.window[0] == (1, 1)
    torch.testing.assert_close(layer(x), before)
    other = QuantizedLayer(torch.nn.Conv2d(3, 8, 3, 2), torch.nn.Identity(), torch.nn.Identity())
    _thin(other)
    assert other.window[0] == (2, 2)


def test_a_grid_that_clips_like_relu6_ends_at_6(monkeypatch: pytest.MonkeyPatch) -> None:
    source, images, _ = untrained("tf_efficientnet_lite0", 64)
    form: Any = mobile_form(source.network, source.contract)
    pixels = torch.from_numpy(images)
    wiring = trace(form, pixels[:1])
    clipped = [name for name, node in wiring.layers.items() if node.clipping]
    six = {wiring.layers[name].output: QuantParams(6 / 255, 0) for name in clipped}
    grids = {**choose_grids(wiring, observe(wiring, images, 0), "min-max"), **six}
    plan = Plan(
        layers=tuple(clipped),
        activations=(),
        grids=grids,
        corrections={n: (0.0,) * len(form.get_submodule(n).weight) for n in clipped},
        sensitivity={},
        macs={name: node.macs for name, node in wiring.layers.items()},
    )

    def highest() -> float:
        tuned = tune(form, wiring, plan, pixels, logits(form, pixels), 3)
        return max(tuned.grids[tensor].high for tensor in six)

    assert len(six) > 20 and highest() < 6 + 1e-5
    monkeypatch.setattr(LearnedFakeQuantize, "cap", lambda grid: None)
    assert highest() > 6.05
