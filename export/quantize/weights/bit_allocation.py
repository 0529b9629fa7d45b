"""Decide which tensors of weights get more bits than the others, in w6 and w4.

A few tensors cause most of the error (five of EfficientNet-Lite0's 44 cause three quarters of it in
4 bits), and which ones they are depends on the network. So each tensor's harm is measured: the
divergence of the answers when it alone is rounded.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lesionlite.console import track
from lesionlite.export.quantize.sensitivity import Probe
from lesionlite.export.quantize.wiring import Wiring

BITS, STEP = (4, 6, 8), 2
# Bits that a weight may have on average beyond those of its precision: on real images,
# EfficientNet-Lite0's w4 keeps 97.6 % of the answers with 0.5 and 99.1 % with 0.8.
EXTRA = {4: 0.8, 6: 0.25}
ENOUGH = 1e-4  # nats, the sum of all harms, at which no tensor gets more bits

Harms = Mapping[tuple[str, int], float]
"""Nats, by tensor and number of bits."""


def harms(wiring: Wiring, rounded: Mapping[tuple[str, int], Tensor], images: Tensor) -> Harms:
    """The divergence of the answers if one tensor of weights is rounded; see `Probe`.

    Args:
        wiring: of the float mobile form; its program is the same afterwards.
        rounded: the weight of a layer, by the layer's name and the number of bits.
        images: uint8 [N, S, S, 3].
    """
    probe = Probe(wiring.program, images)
    found = {}
    for (name, bits), weight in track(rounded.items(), "harm of rounding each layer", len(rounded)):
        layer: Any = wiring.program.get_submodule(name)
        exact, layer.weight.data = layer.weight.data, weight
        found[name, bits] = probe.divergence(name)
        layer.weight.data = exact
    return found


def allocate(sizes: Mapping[str, int], harm: Harms, bits: int) -> dict[str, int]:
    """The bits of each tensor, by name.

    The next `STEP` bits go to the tensor where each added bit prevents the most harm, until little
    harm is left or all bits are spent.

    Args:
        sizes: number of weights by name.
        harm: for each name and each of `BITS` from `bits`.
        bits: of most tensors: 4 or 6.
    """
    chosen = dict.fromkeys(sizes, bits)
    left = EXTRA[bits] * sum(sizes.values())
    while sum(harm[pair] for pair in chosen.items()) > ENOUGH:
        gains = {
            name: (harm[name, now] - harm[name, now + STEP]) / sizes[name]
            for name, now in chosen.items()
            if now < BITS[-1] and STEP * sizes[name] <= left
        }
        best = max(gains, key=lambda name: gains[name], default=None)
        if best is None or gains[best] <= 0:
            break
        chosen[best] += STEP
        left -= STEP * sizes[best]
    return chosen
