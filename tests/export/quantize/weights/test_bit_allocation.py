"""Tensors that harm the answers most get more bits, as many as there are to spend."""

import numpy as np
import pytest
import torch

from lesionlite.export.forms.mobilevitv2 import MobileForm
from lesionlite.export.quantize.weights.bit_allocation import BITS, EXTRA, allocate, harms
from lesionlite.export.quantize.wiring import trace

SIZES = {"stem": 100, "middle": 300, "large": 600}


def in_steps(**harm: float) -> dict[tuple[str, int], float]:
    """The harm of each tensor in 4 bits; a sixteenth for each two bits more."""
    return {(name, bits): value / 4 ** (bits - 4) for name, value in harm.items() for bits in BITS}


def test_bits_go_where_they_prevent_most_harm() -> None:
    assert allocate(SIZES, in_steps(stem=0.1, middle=0.01, large=0.01), 4) == {
        "stem": 8,  # 400 of 800 bits are spent
        "middle": 4,  # would take 600
        "large": 4,
    }
    assert allocate(SIZES, in_steps(stem=0.0, middle=0.1, large=0.1), 4) == {
        "stem": 4,  # more would prevent nothing
        "middle": 6,
        "large": 4,
    }


def test_a_network_that_few_bits_do_not_harm_spends_none() -> None:
    harmless = in_steps(stem=1e-5, middle=1e-5, large=1e-5)
    assert set(allocate(SIZES, harmless, 4).values()) == {4}
    assert allocate(SIZES, in_steps(stem=0.1, middle=1e-5, large=1e-5), 4)["stem"] == 8


@pytest.mark.parametrize("bits", [4, 6])
def test_no_more_bits_are_spent_than_there_are(bits: int) -> None:
    generator = np.random.default_rng(0)
    sizes = {str(i): int(generator.integers(100, 10_000)) for i in range(50)}
    chosen = allocate(sizes, in_steps(**{name: float(generator.random()) for name in sizes}), bits)
    spent = sum((chosen[name] - bits) * size for name, size in sizes.items()) / sum(sizes.values())
    assert EXTRA[bits] - 0.05 < spent <= EXTRA[bits]


def test_harm_is_that_of_one_tensor_alone(form: MobileForm, images: np.ndarray) -> None:
    wiring, pixels = trace(form, torch.from_numpy(images[:1])), torch.from_numpy(images)
    exact = {name: form.get_submodule(name).weight for name in ("stem.conv", "head")}
    before = {name: weight.clone() for name, weight in exact.items()}
    rounded = {(name, bits): weight.detach() for name, weight in exact.items() for bits in BITS}
    rounded["head", 4] = exact["head"].detach() * 0.5
    found = harms(wiring, rounded, pixels)
    assert found.pop(("head", 4)) > 1e-4 and max(map(abs, found.values())) < 1e-6
    for name, weight in before.items():
        assert torch.equal(wiring.program.get_submodule(name).weight, weight)
