from pathlib import Path

import pytest
import torch
from torch import nn

from lesionlite.benchmark.candidate import Candidate
from lesionlite.benchmark.peers import limit as module
from lesionlite.benchmark.peers.limit import KERNELS, limit, multiply_adds, network_multiply_adds
from lesionlite.errors import LesionliteError
from lesionlite.train.model import load_run


def test_multiply_adds_are_those_counted_by_hand() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),  # 8 x 5 x 5 outputs of 3 x 3 x 3 products
        nn.Conv2d(8, 8, 3, padding=1, groups=8),  # 8 x 5 x 5 outputs of 3 x 3 products
        nn.Flatten(),
        nn.Linear(200, 4),
    )
    by_hand = 8 * 25 * 27 + 8 * 25 * 9 + 4 * 200
    assert multiply_adds(network, torch.zeros(1, 3, 10, 10)) == by_hand
    assert all(not layer._forward_hooks for layer in network)


def test_a_layer_that_is_called_twice_counts_twice() -> None:
    layer = nn.Linear(5, 5)
    assert multiply_adds(nn.Sequential(layer, layer), torch.zeros(1, 5)) == 50


def test_the_mobile_form_multiplies_less_than_timms(run: Path) -> None:
    network, contract = load_run(run)
    side = contract.side
    timms = multiply_adds(network, torch.zeros(1, 3, side, side))
    ours = network_multiply_adds(network, contract)
    assert 0.9 * timms < ours < timms  # no keys of all pixels


def test_the_limit_is_the_fastest_kernels() -> None:
    slow, fast = ("slow", 1000, [2.0] * 10), ("fast", 4000, [2.0] * 9 + [50.0])
    found = limit(8000, [slow, fast])
    assert found.kernel == "fast" and found.milliseconds == pytest.approx(4.0)
    assert found.rate == pytest.approx(2e6)
    assert limit(0, [slow, fast]).kernel == "fast"  # for who asks for the rate alone
    assert found.unrest == 1 and limit(8000, [("busy", 1, [1.0, 3.0, 3.0])]).unrest > 2
    assert limit(8000, [slow, ("died", 4000, [])]).kernel == "slow"
    with pytest.raises(LesionliteError, match="no matrix product"):
        limit(8000, [("died", 4000, [])])


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_runs_in_a_worker(name: str, tmp_path: Path) -> None:
    with Candidate(Path(name), 1, module.KERNEL) as worker:
        worker.open()
        assert worker.multiply_adds in {m * k * n for m, k, n in module.SHAPES}
        assert worker.runtime.startswith(name) and worker.contract == ""
        assert min(worker.burst(tmp_path, 0.0)) > 0


def test_a_kernel_that_cannot_run_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*sizes: int) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setitem(module.KERNELS, "torch.mm", module.Kernel("fp32", absent))  # type: ignore[arg-type]
    with pytest.raises(LesionliteError, match="torch.mm cannot be executed here: no such"):
        module.open_kernel(Path("torch.mm"), 1)
