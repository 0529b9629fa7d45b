"""Make a quantization plan: the cheapest set of layers in float that keeps the answers.

Every layer and SiLU starts in 8 bits. They return to float in the order of what rounding them
alone costs the answers, per multiply-add given up, until the network as a whole diverges less from
its float self than asked for, or the share of multiply-adds in 8 bits would fall too low.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from export.config import ExportConfig
from export.mobile_form import MobileForm
from export.plan import Plan
from export.quantized_form import quantize
from export.ranges import BATCH, choose_grids, observe
from export.sensitivity import divergence, mean_shifts, sensitivities
from export.wiring import Wiring, trace
from train.data import Pixels

PROBED = 48  # images that sensitivities are measured on; whole networks are judged on all
# What staying in float costs, as multiply-adds, roughly: a value of a SiLU, and a stored weight.
SILU_COST, WEIGHT_COST = 100, 500


def make_plan(form: MobileForm, calibration: Pixels, config: ExportConfig) -> Plan:
    """Plan w8a8 for the mobile form (channels first) from calibration images uint8 [N, S, S, 3]."""
    form = form.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster
    images = torch.from_numpy(calibration)
    wiring = trace(form, images[:1])
    values = observe(form, wiring, calibration, config.calibration_seed)
    grids = choose_grids(wiring, values, config.ranges)
    probed = images[:: max(1, len(images) // PROBED)]  # calibration images are sorted by class
    plan = Plan(
        layers=tuple(wiring.layers),
        activations=tuple(wiring.silus()),
        grids=grids,
        corrections=mean_shifts(form, wiring, grids, tuple(wiring.layers), images),
        sensitivity=sensitivities(form, wiring, grids, probed),
        macs={name: wire.macs for name, wire in wiring.layers.items()},
        rule=config.ranges,
        images=len(images),
        seed=config.calibration_seed,
    )
    steps = _towards_float(wiring, plan, config.int8_share)
    return _first_good(form, wiring, steps, images, config.divergence)


def _towards_float(wiring: Wiring, plan: Plan, int8_share: float) -> list[Plan]:
    """Plans with ever more in float, all within the share of multiply-adds."""
    silus: dict[str, int] = {}
    for name, sides in wiring.silus().items():
        elements = wiring.activations[name].elements
        for unit in (name, *sides):  # a layer in float takes the SiLUs around it along
            silus[unit] = silus.get(unit, 0) + SILU_COST * elements

    def cost(name: str) -> int:
        wire = wiring.layers.get(name) or wiring.activations[name]
        return wire.macs + silus.get(name, 0) + WEIGHT_COST * wire.weights

    order = sorted(plan.sensitivity, key=lambda name: -plan.sensitivity[name] / max(1, cost(name)))
    floats: set[str] = set()
    steps = [plan]
    for name in order:
        less = _without(wiring, plan, floats | {name})
        if less.int8_share >= int8_share:
            floats.add(name)
            steps.append(less)
    return steps


def _without(wiring: Wiring, plan: Plan, floats: set[str]) -> Plan:
    """The plan with these in float, and with them the SiLUs that lose a neighbour in 8 bits."""
    layers = tuple(name for name in plan.layers if name not in floats)
    between = wiring.silus()
    activations = tuple(
        name
        for name in plan.activations
        if name not in floats and all(side in layers for side in between[name])
    )
    corrections = {name: plan.corrections[name] for name in layers}
    return replace(plan, layers=layers, activations=activations, corrections=corrections)


def _first_good(
    form: MobileForm, wiring: Wiring, steps: list[Plan], images: Tensor, target: float
) -> Plan:
    """The step with the fewest layers in float that diverges less than `target`, by bisection.

    The last one, if none does: the artifact's gate then has the word.
    """
    reference = _logits(form, images)
    low, high = 0, len(steps) - 1
    judged: dict[int, Plan] = {}

    def judge(index: int) -> Plan:
        if index not in judged:
            logits = _logits(quantize(form, steps[index], wiring), images)
            same = (logits.argmax(1) == reference.argmax(1)).float().mean()
            judged[index] = replace(
                steps[index], divergence=divergence(logits, reference), agreement=float(same)
            )
        return judged[index]

    while low < high:
        middle = (low + high) // 2
        if judge(middle).divergence <= target:
            high = middle
        else:
            low = middle + 1
    return judge(low)


@torch.no_grad()
def _logits(form: Any, images: Tensor) -> Tensor:
    """Of the mobile form or its quantized copy, [N, C]."""
    return torch.cat(
        [form.logits(b.permute(0, 3, 1, 2).to(form.dtype)) for b in images.split(BATCH)]
    )
