"""Make a quantization plan: the cheapest set of layers in float that keeps the answers.

Every layer and SiLU starts in 8 bits, but for the last layer: it has hardly a multiply-add, and
logits on a grid change answers by themselves, because close ones become equal. Layers return to
float in the order of what rounding them alone costs the answers, per cost of float arithmetic,
until the network as a whole diverges so little from its float self that tuning can do the rest, or
the share of multiply-adds in 8 bits would fall too low. Those that turn out not to be needed,
because errors do not add up, go back.

A layer takes the SiLUs around it along: there a network has most values, and to convert them
between 8 bits and float costs a runtime more than it saves.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lesionlite.console import track
from lesionlite.export.config import ExportConfig
from lesionlite.export.forms.mobilevitv2 import MobileForm
from lesionlite.export.quantize.plan import Plan
from lesionlite.export.quantize.quantized_form import quantize
from lesionlite.export.quantize.ranges import BATCH, choose_grids, observe
from lesionlite.export.quantize.sensitivity import bias_corrections, divergence, sensitivities
from lesionlite.export.quantize.tuning import tune
from lesionlite.export.quantize.wiring import Wiring, trace
from lesionlite.train.data.images import Pixels

# Images that sensitivities are measured on, and whole networks while searching.
PROBED, JUDGED = 48, 100
# What staying in float costs, as multiply-adds, roughly: a value of a SiLU, and a stored weight.
SILU_COST, WEIGHT_COST = 100, 500
THREADS = 2  # as runtimes on phones use; on a machine of more cores planning takes longer for it
TUNING_GAIN = 2  # by about so much the divergence falls, measured on real images


@contextmanager
def _pinned_threads() -> Iterator[None]:
    """So many threads on every machine, while inside: sums are shared out among them, and round so.

    Without it the same flags make another plan where OMP_NUM_THREADS, or the processor, differs.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_pinned_threads()
def make_plan(form: MobileForm, calibration: Pixels, config: ExportConfig) -> Plan:
    """Plan w8a8 for the mobile form (channels first) from calibration images uint8 [N, S, S, 3]."""
    form = form.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster
    images = torch.from_numpy(calibration)
    wiring = trace(form, images[:1])
    grids = choose_grids(
        wiring, observe(form, wiring, calibration, config.calibration_seed), config.ranges
    )
    layers = tuple(wiring.layers)[:-1]
    whole = Plan(
        layers=layers,
        activations=tuple(wiring.silus()),
        grids=grids,
        corrections=bias_corrections(form, wiring, grids, layers, images),
        sensitivity=sensitivities(form, wiring, grids, _some(images, PROBED)),
        macs={name: wire.macs for name, wire in wiring.layers.items()},
        rule=config.ranges,
        images=len(images),
        seed=config.calibration_seed,
    )
    judge, target = Judge(form, wiring, _some(images, JUDGED)), TUNING_GAIN * config.divergence
    plan = _first_good(_towards_float(wiring, whole, config.int8_share), judge, target)
    plan = _without_the_needless(whole, plan, judge, target)
    return _tuned(Judge(form, wiring, images), plan, config.tuning_steps)


class Judge:
    """Measures what plans do to the answers of the mobile form on some images."""

    def __init__(self, form: MobileForm, wiring: Wiring, images: Tensor) -> None:
        """Run the float form on uint8 [N, S, S, 3] once."""
        self.form, self.wiring, self.images = form, wiring, images
        self.reference = logits(form, images)

    def judged(self, plan: Plan) -> Plan:
        """The plan with its divergence and agreement."""
        planned = logits(quantize(self.form, plan, self.wiring), self.images)
        same = (planned.argmax(1) == self.reference.argmax(1)).float().mean()
        strays = divergence(planned, self.reference)
        return replace(plan, divergence=strays, agreement=float(same))


def _tuned(judge: Judge, plan: Plan, steps: int) -> Plan:
    """The plan after tuning on the judge's images, if that brings the answers closer; judged.

    Adam's steps are as long where a gradient means something as where it is noise. Where rounding
    does little harm, full steps do more; a second try then takes shorter ones.
    """
    plan = judge.judged(plan)
    for rate in (1.0, 0.1) if steps else ():
        tuned = judge.judged(
            tune(judge.form, judge.wiring, plan, judge.images, judge.reference, steps, rate)
        )
        if tuned.divergence < plan.divergence:
            return tuned
    return plan


def _some(images: Tensor, count: int) -> Tensor:
    """About `count` images, spread over them all: they are sorted by class."""
    return images[:: max(1, len(images) // count)]


def unit(wiring: Wiring, layer: str) -> tuple[str, ...]:
    """What goes to float with a layer: itself, and the SiLUs that it writes to or reads from."""
    return (layer, *(silu for silu, sides in wiring.silus().items() if layer in sides))


def in_float(wiring: Wiring, whole: Plan, layers: Iterable[str]) -> Plan:
    """The plan with these layers in float, and their SiLUs with them."""
    gone = {name for layer in layers for name in unit(wiring, layer)}
    kept = tuple(name for name in whole.layers if name not in gone)
    return replace(
        whole,
        layers=kept,
        activations=tuple(name for name in whole.activations if name not in gone),
        corrections={name: whole.corrections[name] for name in kept},
    )


def _towards_float(wiring: Wiring, whole: Plan, int8_share: float) -> list[Plan]:
    """Plans with ever more in float, all within the share of multiply-adds."""

    def gain(layer: str) -> float:
        names = unit(wiring, layer)
        return sum(whole.sensitivity[name] for name in names) / sum(map(cost, names))

    def cost(name: str) -> int:
        if name in wiring.activations:
            return SILU_COST * wiring.activations[name].elements
        return wiring.layers[name].macs + WEIGHT_COST * wiring.layers[name].weights

    floats: list[str] = []
    steps = [whole]
    for layer in sorted(whole.layers, key=gain, reverse=True):
        less = in_float(wiring, whole, [*floats, layer])
        if less.int8_share >= int8_share:
            floats.append(layer)
            steps.append(less)
    return steps


def _first_good(steps: list[Plan], judge: Judge, target: float) -> Plan:
    """The step with the fewest layers in float that diverges less than `target`, by bisection.

    The last one, if none does: the artifact's gate then has the word.
    """
    low, high = 0, len(steps) - 1
    good = None
    while low < high:
        middle = (low + high) // 2
        judged = judge.judged(steps[middle])
        if judged.divergence <= target:
            high, good = middle, judged
        else:
            low = middle + 1
    return good or judge.judged(steps[low])


def _without_the_needless(whole: Plan, plan: Plan, judge: Judge, target: float) -> Plan:
    """The judged plan with every layer back in 8 bits that it does without, the largest first.

    But not where a SiLU of the layer would stay in float: to convert its values on both sides of
    the layer would cost more than float arithmetic.
    """
    floats = sorted(set(whole.layers) - set(plan.layers), key=lambda name: -whole.macs[name])
    if not floats or plan.divergence > target:
        return plan
    for layer in track(list(floats), "layers that may go back to 8 bits", len(floats)):
        fewer = [name for name in floats if name != layer]
        less = in_float(judge.wiring, whole, fewer)
        if set(unit(judge.wiring, layer)[1:]) - set(less.activations):
            continue
        less = judge.judged(less)
        if less.divergence <= target:
            floats, plan = fewer, less
    return plan


@torch.no_grad()
def logits(form: Any, images: Tensor) -> Tensor:
    """Of the mobile form or its quantized copy, for uint8 [N, S, S, 3]: [N, C]."""
    return torch.cat([form.logits(form.pixels(batch)) for batch in images.split(BATCH)])
