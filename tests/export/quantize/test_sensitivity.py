"""A probe runs again all that follows a change."""

import pytest
import torch
from torch import Tensor, fx, nn

from lesionlite.export.quantize.sensitivity import Probe, divergence


class Twice(nn.Module):
    """Runs one layer twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.act = nn.Linear(4, 4), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] -> [N, 4]."""
        made: Tensor = self.layer(self.act(self.layer(x)))
        return made


@torch.no_grad()
def test_a_layer_that_runs_twice_is_run_twice_again() -> None:
    torch.manual_seed(0)
    program, x = fx.symbolic_trace(Twice()), torch.randn(8, 4)
    probe = Probe(program, x)
    assert probe.divergence("layer") == 0
    program.layer.weight += 1
    expected = divergence(program(x), probe.reference)
    assert expected > 0.01 and probe.divergence("layer") == pytest.approx(expected)
