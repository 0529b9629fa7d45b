"""Training on a CPU must not write outside its memory; see `overruns`."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from lesionlite.train.devices.device import ThinningConv, overruns, suit_cpu
from lesionlite.train.networks import build_network

STEPS = """
import sys, torch
from lesionlite.train.devices.device import suit_cpu
from lesionlite.train.networks import build_network
name, bf16, mended = sys.argv[1], sys.argv[2] == "bf16", sys.argv[3] == "mended"
torch.set_num_threads(1)
network = torch.nn.Conv2d(3, 48, 1, 2) if name == "conv" else build_network(name, 14)
network = torch.nn.Sequential(network)
if mended:
    suit_cpu(network, bf16)
network = network.train().to(memory_format=torch.channels_last)
x = torch.randn(32, 3, 128, 128).to(memory_format=torch.channels_last)
for _ in range(10 if name == "conv" else 2):
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = network(x).float().square().mean()
    loss.backward()
"""


# glibc checks the bytes around each block of memory that is freed. Without it, some memory that is
# overwritten does not matter, and the process lives.
CHECKED = {"LD_PRELOAD": "libc_malloc_debug.so.0", "MALLOC_CHECK_": "3"}


def exit_code(*words: str) -> int:
    """Of a few training steps in a process of their own, which may crash."""
    command = [sys.executable, "-c", STEPS, *words]
    return subprocess.run(command, capture_output=True, env={**os.environ, **CHECKED}).returncode


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", ["conv", "fastvit_t8", "mobileone_s0"])
def test_training_ends_without_a_crash(name: str, precision: str) -> None:
    assert exit_code(name, precision, "mended") == 0


@pytest.mark.skipif(not torch.cpu._is_avx512_supported(), reason="measured with AVX-512 only")
def test_a_convolution_that_overruns_kills_the_process() -> None:
    """If this fails, oneDNN may be mended: then delete `overruns` and what uses it."""
    assert exit_code("conv", "float32", "plain") < 0


@pytest.mark.parametrize("side", [7, 8])
def test_a_thinning_convolution_has_the_same_answer_and_gradients(side: int) -> None:
    torch.manual_seed(0)
    # In float64, because oneDNN would overrun in this process, too.
    network = nn.Sequential(nn.Conv2d(3, 8, 1, 2)).double()
    x = torch.randn(2, 3, side, side).double()
    answers = []
    for _ in range(2):
        network.zero_grad()
        y = network(x)
        y.square().sum().backward()
        answers.append([y.detach(), *(p.grad for p in network.parameters())])
        suit_cpu(network, bf16=False)
    assert isinstance(network[0], ThinningConv)
    torch.testing.assert_close(*answers)


def test_only_affected_convolutions_are_replaced() -> None:
    found = {}
    for name in ("mobilevitv2_050", "resnet18", "mobileone_s0"):
        network = build_network(name, 14)
        suit_cpu(network, bf16=False)
        found[name] = [m.in_channels for m in network.modules() if isinstance(m, ThinningConv)]
    assert found == {"mobilevitv2_050": [], "resnet18": [], "mobileone_s0": [3]}
    weight = torch.zeros(8, 3, 1, 1)
    assert overruns(weight, (2, 2), (0, 0), 1)
    assert not overruns(weight, (1, 1), (0, 0), 1) and not overruns(weight, (2, 2), (0, 0), 2)
    assert not overruns(torch.zeros(8, 16, 1, 1), (2, 2), (0, 0), 1)
