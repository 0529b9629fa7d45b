"""Make a quantization plan: which layers run in 8 bits, and which stay in float.

The search starts with every layer and SiLU in 8 bits, except the last layer. That layer has few
multiply-adds, and with logits in 8 bits, classes with close logits would tie and answers change.

1. Sort the layers by how much quantizing each one alone changes the answers, divided by what it
   costs to compute it in float.
2. Move layers to float in this order until the network diverges little enough from the float
   network that tuning can do the rest. Stop before the share of multiply-adds in 8 bits becomes too
   small.
3. Move layers back to 8 bits if the divergence allows it. Some can go back, because the errors of
   single layers do not simply add up.
4. Tune what stays in 8 bits. A network that still diverges too much then is searched again with a
   smaller share of the multiply-adds in 8 bits, and tuned for longer.

The SiLUs around a layer move with it. They have the most values of the network, and a runtime loses
more time by converting them between 8 bits and float than it saves.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lesionlite.console import track
from lesionlite.export.config import ExportConfig
from lesionlite.export.quantize.plan import Plan
from lesionlite.export.quantize.quantized_form import quantize, with_layers
from lesionlite.export.quantize.ranges import BATCH, choose_grids, observe
from lesionlite.export.quantize.sensitivity import (
    SENSITIVITY_IMAGES,
    bias_corrections,
    divergence,
    sensitivities,
    subsample,
)
from lesionlite.export.quantize.threads import pinned_threads
from lesionlite.export.quantize.tuning import CHECKS, tune
from lesionlite.export.quantize.weights.weight_rounding import WeightRounder
from lesionlite.export.quantize.wiring import Wiring, trace

HELD_OUT = 4  # every fourth calibration image judges plans, and the others tune them
SEARCH_IMAGES = 100  # at most about so many judge
# Rough cost of keeping one value of a SiLU, or one weight, in float; in multiply-adds.
SILU_COST, WEIGHT_COST = 100, 500
TUNING_GAIN = 2  # tuning may divide the divergence by so much; measured on real images
# A share of 8-bit multiply-adds that most networks bear: only MobileNetV3 of six needed a smaller
# one, and three times the steps.
USUAL_SHARE, LONGER = 0.9, 3
RATES = 0.3, 0.1  # factors on the learning rates of tuning: the first try's, and the second's
# A try is given up if it has multiplied the divergence by so much after a share of its steps. After
# half of them, eight tries that helped in the end stood at 1.02 or less, and others at 1 to 26.
# After an eighth, two that helped stood at 1.4 and 2.0, and others at 3.5 to 72.
HOPELESS = dict(zip(CHECKS, (5, 2), strict=True))


@pinned_threads()
def make_plan(rounder: WeightRounder, config: ExportConfig) -> Plan:
    """Make the plan for w8a8.

    Args:
        rounder: has the float mobile form, and the calibration images.
        config: the rule for ranges, the seed, and the limits of the search.
    """
    images, rounded = rounder.images, rounder.round_for_kernels()
    wiring = trace(rounded, images[:1])
    grids = choose_grids(
        wiring, observe(wiring, images.numpy(), config.calibration_seed), config.ranges
    )
    layers = tuple(name for name in wiring.layers if name not in wiring.heads)
    all_int8 = Plan(
        layers=layers,
        activations=tuple(wiring.silus()),
        grids=grids,
        corrections=bias_corrections(rounded, wiring, grids, layers, images),
        sensitivity=sensitivities(wiring, grids, subsample(images, SENSITIVITY_IMAGES)),
        macs={name: node.macs for name, node in wiring.layers.items()},
        rule=config.ranges,
        images=len(images),
        seed=config.calibration_seed,
    )
    return _searched_and_tuned(*_apart(rounder, wiring), all_int8, config)


@pinned_threads()
def make_integer_plan(rounder: WeightRounder, plan: Plan, config: ExportConfig) -> Plan:
    """The plan for w8a8-int: every depthwise convolution is in 8 bits, too, and it is tuned again.

    NPUs without floats take no depthwise convolution with 16-bit activations.

    Args:
        rounder: has the float mobile form, and the calibration images.
        plan: for w8a8.
        config: the number of tuning steps.
    """
    rounded: Any = rounder.round_for_kernels()
    wiring = trace(rounded, rounder.images[:1])
    added = tuple(
        name
        for name in wiring.layers
        if name not in plan.layers and getattr(rounded.get_submodule(name), "groups", 1) > 1
    )
    images = rounder.images
    corrections = bias_corrections(rounded, wiring, plan.grids, added, images) if added else {}
    forced = replace(
        plan,
        layers=tuple(name for name in wiring.layers if name in {*plan.layers, *added}),
        corrections={**plan.corrections, **corrections},
    )
    return _tuned(*_apart(rounder, wiring), forced, config.tuning_steps, config.divergence)


class PlanEvaluator:
    """Measures how much a plan changes the answers of the mobile form on some images."""

    def __init__(self, rounder: WeightRounder, wiring: Wiring, images: Tensor) -> None:
        """Compute the float form's logits once, for uint8 images [N, S, S, 3]."""
        self.rounder, self.wiring, self.images = rounder, wiring, images
        self.reference = logits(rounder.form, images)

    def form(self, plan: Plan) -> nn.Module:
        """The float form, with rounded weights in the plan's layers."""
        return with_layers(self.rounder.form, self.rounder.round_for_kernels(), plan.layers)

    def evaluate(self, plan: Plan) -> Plan:
        """The plan, with its divergence and agreement filled in."""
        planned = logits(quantize(self.form(plan), plan, self.wiring), self.images)
        same = (planned.argmax(1) == self.reference.argmax(1)).float().mean()
        return replace(plan, divergence=divergence(planned, self.reference), agreement=float(same))


def _apart(rounder: WeightRounder, wiring: Wiring) -> tuple[PlanEvaluator, PlanEvaluator]:
    """The judge of plans, and what tunes them: each has calibration images of its own."""
    held_out = torch.arange(len(rounder.images)) % HELD_OUT == 0
    judging = subsample(rounder.images[held_out], SEARCH_IMAGES)
    judge = PlanEvaluator(rounder, wiring, judging)
    return judge, PlanEvaluator(rounder, wiring, rounder.images[~held_out])


def _searched_and_tuned(
    judge: PlanEvaluator, tuner: PlanEvaluator, all_int8: Plan, config: ExportConfig
) -> Plan:
    """The plan with the usual share, or if it diverges too much, the better of that and another."""
    target = TUNING_GAIN * config.divergence
    usual = _searched(judge, all_int8, max(USUAL_SHARE, config.int8_share), target)
    usual = _tuned(judge, tuner, usual, config.tuning_steps, config.divergence)
    if usual.divergence <= target:
        return usual
    other = _searched(judge, all_int8, config.int8_share, target)
    other = _tuned(judge, tuner, other, LONGER * config.tuning_steps, config.divergence)
    return min(usual, other, key=lambda plan: plan.divergence)


def _searched(judge: PlanEvaluator, all_int8: Plan, share: float, target: float) -> Plan:
    """A plan with `share` of the multiply-adds in 8 bits or more; it diverges by about `target`."""
    plan = _first_within(_candidates(judge.wiring, all_int8, share), judge, target)
    return _back_to_int8(all_int8, plan, judge, target)


def _tuned(
    judge: PlanEvaluator, tuner: PlanEvaluator, plan: Plan, steps: int, allowed: float
) -> Plan:
    """The plan after tuning, if that lowers its divergence on the judge's images; evaluated.

    On the images that it is tuned on, every network improves: a trained EfficientNet-Lite0 diverged
    by 0.0007 nats there, and on others by 0.0031, where 0.0017 was due without tuning.

    Adam takes steps of the same length whether the gradient is signal or noise. If quantization
    does little harm to begin with, such steps can do more. The second try takes shorter ones; a
    plan that diverges by no more than is `allowed` gets only that.
    """
    plan = judge.evaluate(plan)

    def is_hopeless(so_far: Plan, share: float) -> bool:
        return judge.evaluate(so_far).divergence > HOPELESS[share] * plan.divergence

    rates = RATES[1:] if plan.divergence <= allowed else RATES
    for rate in rates if steps else ():
        given = tuner.form(plan), tuner.wiring, plan, tuner.images, tuner.reference
        tuned = tune(*given, steps, rate, is_hopeless)
        tuned = judge.evaluate(tuned)
        if tuned.divergence < plan.divergence:
            return tuned
    return plan


def with_silus(wiring: Wiring, layer: str) -> tuple[str, ...]:
    """A layer, and the SiLUs that it writes to or reads from; they move to float together."""
    return (layer, *(silu for silu, sides in wiring.silus().items() if layer in sides))


def move_to_float(wiring: Wiring, all_int8: Plan, layers: Iterable[str]) -> Plan:
    """The plan `all_int8`, with these layers and their SiLUs in float."""
    moved = {name for layer in layers for name in with_silus(wiring, layer)}
    kept = tuple(name for name in all_int8.layers if name not in moved)
    return replace(
        all_int8,
        layers=kept,
        activations=tuple(name for name in all_int8.activations if name not in moved),
        corrections={name: all_int8.corrections[name] for name in kept},
    )


def _candidates(wiring: Wiring, all_int8: Plan, int8_share: float) -> list[Plan]:
    """Plans with more and more layers in float.

    Each has at least the share `int8_share` of the multiply-adds in 8 bits.
    """

    def gain(layer: str) -> float:
        names = with_silus(wiring, layer)
        return sum(all_int8.sensitivity[name] for name in names) / sum(map(cost, names))

    def cost(name: str) -> int:
        if name in wiring.activations:
            return SILU_COST * wiring.activations[name].elements
        return wiring.layers[name].macs + WEIGHT_COST * wiring.layers[name].weights

    floats: list[str] = []
    steps = [all_int8]
    for layer in sorted(all_int8.layers, key=gain, reverse=True):
        less = move_to_float(wiring, all_int8, [*floats, layer])
        if less.int8_share >= int8_share:
            floats.append(layer)
            steps.append(less)
    return steps


def _first_within(steps: list[Plan], evaluator: PlanEvaluator, target: float) -> Plan:
    """The plan with the fewest layers in float and a divergence of at most `target`; evaluated.

    It is found by bisection. If no plan meets the target, this returns the last one, and the
    benchmark decides whether its files are good enough.
    """
    low, high = 0, len(steps) - 1
    good = None
    while low < high:
        middle = (low + high) // 2
        judged = evaluator.evaluate(steps[middle])
        if judged.divergence <= target:
            high, good = middle, judged
        else:
            low = middle + 1
    return good or evaluator.evaluate(steps[low])


def _back_to_int8(all_int8: Plan, plan: Plan, evaluator: PlanEvaluator, target: float) -> Plan:
    """Move layers of an evaluated plan back to 8 bits, largest first, while the target is met.

    A layer stays in float if one of its SiLUs would stay in float. Converting the SiLU's values on
    both sides of the layer would take longer than computing the layer in float.
    """
    floats = sorted(set(all_int8.layers) - set(plan.layers), key=lambda name: -all_int8.macs[name])
    if not floats or plan.divergence > target:
        return plan
    for layer in track(list(floats), "layers that may go back to 8 bits", len(floats)):
        fewer = [name for name in floats if name != layer]
        less = move_to_float(evaluator.wiring, all_int8, fewer)
        if set(with_silus(evaluator.wiring, layer)[1:]) - set(less.activations):
            continue
        less = evaluator.evaluate(less)
        if less.divergence <= target:
            floats, plan = fewer, less
    return plan


@torch.no_grad()
def logits(form: Any, images: Tensor) -> Tensor:
    """Logits [N, C] of the mobile form or its quantized copy, for uint8 images [N, S, S, 3]."""
    return torch.cat([form.scores(batch) for batch in images.split(BATCH)])
