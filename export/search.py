"""Make a quantization plan: the cheapest set of layers in float that keeps the answers.

Every layer and SiLU starts in 8 bits. They return to float in the order of what rounding them
alone costs the answers, per cost of float arithmetic, until the network as a whole diverges so
little from its float self that tuning can do the rest, or the share of multiply-adds in 8 bits
would fall too low.

Layers with a SiLU between them go together: the SiLU is where a network has most values, and to
convert those between 8 bits and float costs a runtime more than the layer saves.
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
from export.tuning import tune
from export.wiring import Wiring, trace
from train.data import Pixels

# Images that sensitivities are measured on, and whole networks while searching.
PROBED, JUDGED = 48, 100
# What staying in float costs, as multiply-adds, roughly: a value of a SiLU, and a stored weight.
SILU_COST, WEIGHT_COST = 100, 500
TUNING_GAIN = 4  # the divergence falls about that far, measured on real images


def make_plan(form: MobileForm, calibration: Pixels, config: ExportConfig) -> Plan:
    """Plan w8a8 for the mobile form (channels first) from calibration images uint8 [N, S, S, 3]."""
    form = form.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster
    images = torch.from_numpy(calibration)
    wiring = trace(form, images[:1])
    grids = choose_grids(
        wiring, observe(form, wiring, calibration, config.calibration_seed), config.ranges
    )
    whole = Plan(
        layers=tuple(wiring.layers),
        activations=tuple(wiring.silus()),
        grids=grids,
        corrections=mean_shifts(form, wiring, grids, tuple(wiring.layers), images),
        sensitivity=sensitivities(form, wiring, grids, _some(images, PROBED)),
        macs={name: wire.macs for name, wire in wiring.layers.items()},
        rule=config.ranges,
        images=len(images),
        seed=config.calibration_seed,
    )
    steps = _towards_float(wiring, whole, config.int8_share)
    some = _some(images, JUDGED)
    plan = _first_good(form, wiring, steps, some, TUNING_GAIN * config.divergence)
    reference = logits(form, images)
    if config.tuning_steps:
        plan = tune(form, wiring, plan, images, reference, config.tuning_steps)
    return _judged(form, wiring, plan, images, reference)


def _some(images: Tensor, count: int) -> Tensor:
    """About `count` images, spread over them all: they are sorted by class."""
    return images[:: max(1, len(images) // count)]


def units(wiring: Wiring) -> list[tuple[str, ...]]:
    """Names of layers and SiLUs that are in float or in 8 bits together."""
    unit_of: dict[str, tuple[str, ...]] = {name: (name,) for name in wiring.layers}
    for silu, (before, behind) in wiring.silus().items():
        unit = (*unit_of[before], silu, *unit_of[behind])
        unit_of.update(dict.fromkeys(unit, unit))
    return list(dict.fromkeys(unit_of.values()))


def _towards_float(wiring: Wiring, plan: Plan, int8_share: float) -> list[Plan]:
    """Plans with ever more in float, all within the share of multiply-adds."""

    def cost(name: str) -> int:
        if name in wiring.activations:
            return SILU_COST * wiring.activations[name].elements
        return wiring.layers[name].macs + WEIGHT_COST * wiring.layers[name].weights

    def gain(unit: tuple[str, ...]) -> float:
        return sum(plan.sensitivity[name] for name in unit) / sum(cost(name) for name in unit)

    steps = [plan]
    for unit in sorted(units(wiring), key=gain, reverse=True):
        less = _without(steps[-1], unit)
        if less.int8_share >= int8_share:
            steps.append(less)
    return steps


def _without(plan: Plan, unit: tuple[str, ...]) -> Plan:
    """The plan with these in float."""
    layers = tuple(name for name in plan.layers if name not in unit)
    return replace(
        plan,
        layers=layers,
        activations=tuple(name for name in plan.activations if name not in unit),
        corrections={name: plan.corrections[name] for name in layers},
    )


def _judged(
    form: MobileForm, wiring: Wiring, plan: Plan, images: Tensor, reference: Tensor
) -> Plan:
    """The plan with what it does to the answers on these images."""
    planned = logits(quantize(form, plan, wiring), images)
    same = (planned.argmax(1) == reference.argmax(1)).float().mean()
    return replace(plan, divergence=divergence(planned, reference), agreement=float(same))


def _first_good(
    form: MobileForm, wiring: Wiring, steps: list[Plan], images: Tensor, target: float
) -> Plan:
    """The step with the fewest layers in float that diverges less than `target`, by bisection.

    The last one, if none does: the artifact's gate then has the word.
    """
    reference = logits(form, images)
    low, high = 0, len(steps) - 1
    while low < high:
        middle = (low + high) // 2
        if _judged(form, wiring, steps[middle], images, reference).divergence <= target:
            high = middle
        else:
            low = middle + 1
    return steps[low]


@torch.no_grad()
def logits(form: Any, images: Tensor) -> Tensor:
    """Of the mobile form or its quantized copy, for uint8 [N, S, S, 3]: [N, C]."""
    return torch.cat(
        [form.logits(b.permute(0, 3, 1, 2).to(form.dtype)) for b in images.split(BATCH)]
    )
