"""Rounding to 8 bits gives PyTorch's own numbers and gradients."""

import pytest
import torch
from torch import Tensor

from lesionlite.export.quantize.quant_params import QuantParams
from lesionlite.export.quantize.rounding import rounded, rounded_with_gradients

GRIDS = [(0.05, 117), (0.003, 0), (1.7, 255)]


def values() -> Tensor:
    drawn = 20 * torch.randn((3, 8, 11, 5), generator=torch.Generator().manual_seed(0))
    return drawn.to(memory_format=torch.channels_last)


@pytest.mark.parametrize(("scale", "zero_point"), GRIDS)
def test_values_are_those_of_fake_quantize(scale: float, zero_point: int) -> None:
    x = values()
    expected = torch.fake_quantize_per_tensor_affine(x, scale, zero_point, 0, 255)
    found = rounded(x, QuantParams(scale, zero_point))
    torch.testing.assert_close(found, expected)
    assert found.stride() == x.stride() and len(found.unique()) <= 256
    assert rounded(torch.tensor([-1e30, 0.0, 1e30]), QuantParams(1.0, 9)).tolist() == [
        -9.0,
        0.0,
        246.0,
    ]


@pytest.mark.parametrize(("scale", "zero_point"), GRIDS)
def test_gradients_are_those_of_learnable_fake_quantize(scale: float, zero_point: int) -> None:
    upstream = torch.randn((3, 8, 11, 5), generator=torch.Generator().manual_seed(1))
    made, gradients = [], []
    for own in (True, False):
        x, step = values().requires_grad_(), torch.tensor([scale]).requires_grad_()
        if own:
            y = rounded_with_gradients(x, step, zero_point, 0.25)
        else:
            zero = torch.tensor([float(zero_point)])
            y = torch._fake_quantize_learnable_per_tensor_affine(x, step, zero, 0, 255, 0.25)
        y.backward(upstream)
        made.append(y)
        gradients.append((x.grad, step.grad))
    torch.testing.assert_close(made[0], made[1])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)
    assert 0 < (gradients[0][0] == 0).sum() < values().numel()
