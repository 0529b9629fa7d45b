import pytest
import torch
from torch import nn

from lesionlite.errors import LesionliteError
from lesionlite.train.devices.device import Float32Conv, pick_device, spare_bf16
from lesionlite.train.networks import build_network


def error_of(convolution: nn.Module, x: torch.Tensor) -> float:
    """Of a bf16 convolution's answer to bf16 pixels, against float32."""
    exact = nn.functional.conv2d(
        x.float(), convolution.weight.detach(), None, 2, 1, groups=convolution.groups
    )
    with torch.autocast("cpu", torch.bfloat16):
        answer = convolution(x)
    assert answer.dtype == torch.bfloat16
    return float((answer.detach().float() - exact.bfloat16().float()).abs().max())


def test_a_spared_convolution_computes_in_float32() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(8, 8, 3, 2, 1, groups=8, bias=False)
    x = torch.randn(2, 8, 16, 16).bfloat16()
    assert error_of(plain, x) > 0  # its weights were rounded
    network = nn.Sequential(plain)
    spare_bf16(network)
    assert isinstance(network[0], Float32Conv) and error_of(network[0], x) == 0


def test_strided_depthwise_layers_are_spared_and_no_others() -> None:
    network = build_network("mobilevitv2_050", 14)
    keys = list(network.state_dict())
    spare_bf16(network)
    spared = [m for m in network.modules() if isinstance(m, Float32Conv)]
    assert len(spared) == 4 and all(m.groups == m.in_channels for m in spared)
    assert {m.stride for m in spared} == {(2, 2)}
    assert list(network.state_dict()) == keys
    network.eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = build_network("mobilevitv2_050", 14).eval()
        before.load_state_dict(network.state_dict())
        assert torch.equal(network(x), before(x))  # without autocast nothing changes


def test_a_device_that_is_not_there_lists_those_that_are() -> None:
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(LesionliteError, match="choose from: auto, cpu"):
        pick_device("tpu")
