"""The form of any network: exactly timm's function, and every layer by its name."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.forms.attention import GROUPED, NCHW
from lesionlite.export.forms.capture import Batch, capture
from lesionlite.export.forms.plain import MobileForm
from lesionlite.export.forms.rules import RULES
from lesionlite.export.quantize.wiring import trace
from lesionlite.train.model import predict_logits
from lesionlite.train.networks import build_network

NETWORKS = {  # one of each kind of trouble, and the side
    "mobilevitv2_050": 64,  # patches, GroupNorm, odd sides
    "mobilevit_xxs": 64,  # layers on patches: two sizes that depend on the number of images
    "fastvit_t8": 64,  # branches that timm merges
    "mobileone_s0": 64,  # likewise
    "mobilenetv3_small_050": 64,  # squeeze and excitation, hardswish
    "tf_efficientnet_lite0": 75,  # asymmetric padding
    "efficientformerv2_s0": 64,  # two classifiers, tables of positions
    "edgenext_xx_small": 64,  # positions computed from the size
    "starnet_s1": 64,  # products, BatchNorm before the head
    "resnet18": 64,  # max pooling
}


def settle(network: nn.Module) -> None:
    """Give norms and biases values that a trained network could have."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if (
            isinstance(module, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm) and module.affine
            if (not isinstance(module, nn.LayerNorm))
            else module.elementwise_affine
        ):
            module.weight.data.uniform_(0.7, 1.3, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)  # type: ignore[union-attr]
            module.running_var.uniform_(1, 3, generator=generator)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_exact_for_any_number_of_images(name: str) -> None:
    torch.manual_seed(0)
    contract = Contract(
        ("a", "b", "c"),
        side=NETWORKS[name],
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        temperature=1.7,
        logit_adjustment=(0.5, -1.0, 0.25),
    )
    network = build_network(name, 3, side=contract.side).double().eval().requires_grad_(False)
    settle(network)
    form = MobileForm(network, contract)
    images = torch.randint(0, 256, (3, contract.side, contract.side, 3), dtype=torch.uint8)
    expected = _timm(network, images, contract)
    assert expected.std() > 1e-4  # else a constant would pass
    for several in (images, images[:1]):
        torch.testing.assert_close(
            form.scores(several), expected[: len(several)], rtol=1e-9, atol=1e-9
        )
    cast = MobileForm(network, contract, GROUPED)
    torch.testing.assert_close(cast(images), expected.softmax(1), rtol=0, atol=1e-9)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in form.modules())
    names = {name for name, _ in network.named_modules()}
    wiring = trace(form, images[:1])
    layers = [one for one in wiring.layers if {one, one.rpartition(".")[0]} & names]
    assert len(layers) >= 0.7 * len(wiring.layers)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "mobilevit_xxs", "edgenext_xx_small"])
def test_a_plan_finds_every_tensor_in_the_form_for_xnnpack(name: str) -> None:
    contract = Contract(("a", "b", "c"), side=64)
    network = build_network(name, 3, side=64).eval().requires_grad_(False)
    image = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    planned = trace(MobileForm(network, contract), image)
    written = trace(MobileForm(network, contract, GROUPED), image)
    assert written.layers == planned.layers and written.activations == planned.activations


def _timm(network: nn.Module, images: Tensor, contract: Contract) -> Tensor:
    pixels = images.permute(0, 3, 1, 2).double() / 255
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (contract.mean, contract.std))
    logits = network((pixels - mean[:, None, None]) / std[:, None, None])
    return logits / contract.temperature + torch.tensor(contract.logit_adjustment or 0.0).double()


def test_the_first_and_the_last_layer_are_found_by_the_graph() -> None:
    contract = Contract(("a", "b"), side=64)
    wiring = trace(
        MobileForm(build_network("efficientformerv2_s0", 2, side=64).eval(), contract),
        torch.zeros(1, 64, 64, 3, dtype=torch.uint8),
    )
    assert set(wiring.heads) == {"head", "head_dist"}
    assert next(iter(wiring.layers)).startswith("stem")


class Small(nn.Module):
    """A network around one function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, dilation=2, groups=1)
        self.deep = nn.Conv2d(4, 4, 3, groups=2, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.function = function
        self.fc = nn.Linear(4, 2)
        self.pretrained_cfg = {"architecture": "small"}

    def forward(self, x: Tensor) -> Tensor:
        x = self.function(self.norm(self.deep(self.conv(x))))
        x = x + self.norm(x).sigmoid()  # a norm with no layer before it
        return self.fc(x.mean((2, 3)))


@pytest.mark.parametrize(
    "function",
    [
        torch.relu,
        lambda x: nn.functional.relu6(x),
        lambda x: nn.functional.leaky_relu(x, 0.1),
        lambda x: nn.functional.hardtanh(x, -2, 2),
        lambda x: nn.functional.max_pool2d(x, 3, 2, 1),
        lambda x: nn.functional.avg_pool2d(x, 2),
        lambda x: nn.functional.avg_pool2d(x, 1, 2),
        lambda x: nn.functional.avg_pool2d(x, 3, 2, 1),
        lambda x: x / 2,
        lambda x: nn.functional.elu(x),
        lambda x: torch.cat([x, x.flip(2)], 2),
        lambda x: x * torch.full((4, 1, 1), 3.0, dtype=x.dtype),
        lambda x: x.clone() * torch.full((4, 1, 1), 3.0, dtype=x.dtype) + x,
        lambda x: x.reshape(x.shape[0] * 2, 2, *x.shape[2:]).reshape(x.shape) * x.shape[2],
    ],
)
def test_operations(function: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    contract = Contract(("a", "b"), side=32, mean=(0.5, 0.4, 0.3))
    network = Small(function).double().eval()
    settle(network)
    images = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    expected = _timm(network, images, contract)
    for variant in (NCHW, GROUPED):
        form = MobileForm(network, contract, variant)
        torch.testing.assert_close(form.scores(images), expected, rtol=0, atol=1e-9)


def test_what_cannot_be_traced_is_refused() -> None:
    network = Small(lambda x: x if float(x.sum()) > 0 else -x).eval()
    with pytest.raises(LesionliteError, match="torch.export cannot trace the network at side 32"):
        capture(network, 32, RULES)
    several = Small(lambda x: x.reshape(x.shape[0], x.shape[0], -1)[:, :1].reshape(x.shape[0], -1))
    with pytest.raises(LesionliteError):
        capture(several.eval(), 32, RULES)
    assert 3 * Batch(2) == Batch(6)


def test_the_network_is_unchanged() -> None:
    contract = Contract(("a", "b"), side=64)
    network = build_network("mobileone_s0", 2).eval()
    image = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    before, names = predict_logits(network, image, contract), list(network.state_dict())
    MobileForm(network, contract)
    assert torch.equal(predict_logits(network, image, contract), before)
    assert list(network.state_dict()) == names
