from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.forms.attention import (
    GROUPED,
    NCHW,
    NHWC,
    ORT,
    STREAM_SCALE,
    TORCH,
    Normalize,
    Variant,
    group,
    ungroup,
)
from lesionlite.export.forms.fold import fold_affine, fold_batchnorm
from lesionlite.export.forms.mobilevitv2 import MobileForm
from lesionlite.train.model import predict_logits
from lesionlite.train.networks import build_network


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def trained_like(name: str, classes: int = 5) -> nn.Module:
    """A network in float64 whose norms have statistics, scales and shifts like trained ones."""
    torch.manual_seed(0)
    network = build_network(name, classes).double().eval()
    for key, value in network.state_dict().items():
        if "running_var" in key:
            value.uniform_(0.5, 2)
        elif "running_mean" in key or ("norm" in key and "bias" in key):
            value.normal_(0, 0.3)
        elif "norm" in key and "weight" in key:
            value.uniform_(0.5, 1.5)
    return network


SHIFT = torch.tensor([0.5, -1.0, 0.0, 2.0, 0.25], dtype=torch.float64)


@pytest.mark.parametrize("variant", [NCHW, NHWC, GROUPED, ORT, TORCH])
@pytest.mark.parametrize(
    ("name", "side"),
    [("mobilevitv2_050", 64), ("mobilevitv2_075", 224), ("mobilevitv2_100", 96)]
    + [("mobilevitv2_150", 128), ("mobilevitv2_200", 32)],
)
def test_it_is_exact(name: str, side: int, variant: Variant) -> None:
    contract = Contract(
        labels=tuple("abcde"),
        side=side,
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 0.6, 0.7),
        temperature=1.3,
        logit_adjustment=tuple(SHIFT.tolist()),
    )
    network = trained_like(name)
    image = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8)
    pixels = image.permute(0, 3, 1, 2).double()
    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in _norm(contract))
    logits = network((pixels / 255 - mean) / std)
    expected = logits / 1.3 + SHIFT
    form = MobileForm(network, contract, variant)
    assert logits.abs().max() > 0.1
    torch.testing.assert_close(form.logits(pixels), expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(form(image), expected.softmax(-1), rtol=0, atol=1e-9)


def _norm(contract: Contract) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return contract.mean, contract.std


def test_a_wrong_weight_is_noticed() -> None:
    contract = Contract(labels=tuple("abcde"), side=64)
    network = trained_like("mobilevitv2_050")
    form = MobileForm(network, contract)
    form.blocks[4].transformer[0].attn.key.bias += 0.01
    pixels = torch.rand(1, 3, 64, 64, dtype=torch.float64) * 255
    assert (form.logits(pixels) - network(pixels / 255)).abs().max() > 1e-9


@pytest.mark.parametrize("where", ["convolution", "feed-forward"])
def test_an_activation_it_is_not_written_for_is_refused(where: str) -> None:
    network = build_network("mobilevitv2_050", 5).eval()
    block = network.stages[2][1]
    if where == "convolution":
        block.conv_kxk.bn.act = nn.Hardswish()
    else:
        block.transformer[0].mlp.act = nn.Hardswish()
    with pytest.raises(LesionliteError, match="activation Hardswish.* SiLU"):
        MobileForm(network, Contract(labels=tuple("abcde"), side=64))


def test_grouping_brings_equal_places_together_and_is_undone() -> None:
    x = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    grouped = group(x, 4, 6)
    assert torch.equal(grouped[:, :, 1], x[:, :, 0::2, 1::2].flatten(2))
    assert torch.equal(grouped[:, :, 2], x[:, :, 1::2, 0::2].flatten(2))
    assert torch.equal(ungroup(grouped, 4, 6), x)


def test_the_network_itself_is_left_alone() -> None:
    network = trained_like("mobilevitv2_050")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    MobileForm(network, Contract(labels=tuple("abcde"), side=64, temperature=2.0))
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_batchnorm_and_scale_fold_exactly() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 8, 3, padding=1, groups=4, bias=False).double()
    norm = nn.BatchNorm2d(8).double().eval()
    for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
        assert value is not None
        value.uniform_(0.5, 2)
    x = torch.randn(2, 8, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(fold_batchnorm(conv, norm)(x), norm(conv(x)), rtol=0, atol=1e-12)
    group, project = nn.GroupNorm(1, 8).double(), nn.Conv2d(8, 3, 1).double()
    group.weight.uniform_(0.5, 2), group.bias.normal_()
    plain = Normalize(group.eps / STREAM_SCALE**2)
    torch.testing.assert_close(
        fold_affine(group, project)(plain(x)), project(group(x)), rtol=0, atol=1e-12
    )


def test_the_stream_fits_float16_where_the_networks_own_would_not() -> None:
    """Residuals of 560, as trained networks have them: their square overflows float16."""
    torch.manual_seed(0)
    stream = torch.randn(1, 16, 8, 8)
    stream[0, 0, 0, 0] = 560.0

    def variance_in_half(x: Tensor) -> Tensor:
        half = x.half()
        return (half * half).float().mean()

    assert variance_in_half(stream).isinf()
    scaled = variance_in_half(stream * STREAM_SCALE) / STREAM_SCALE**2
    torch.testing.assert_close(scaled, (stream * stream).mean(), rtol=1e-2, atol=0)


def test_logits_are_those_of_the_training_path() -> None:
    contract = Contract(labels=tuple("abcde"), side=64, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    network = trained_like("mobilevitv2_050").float()
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    expected = predict_logits(network, image.permute(0, 3, 1, 2), contract).softmax(-1)
    torch.testing.assert_close(MobileForm(network, contract)(image), expected, rtol=0, atol=1e-5)
