"""Which networks can be exported, and that one more is one module and one row."""

import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.forms import table
from lesionlite.export.forms.mobilevitv2 import MobileForm
from lesionlite.export.forms.table import FORMS, Form, find_form, mobile_form
from lesionlite.train.model import build_network, declare_torchvision_operators

CONTRACT = Contract(("a", "b", "c"), side=32)


@pytest.fixture
def other() -> nn.Module:
    """A network of timm's that has no form."""
    declare_torchvision_operators()
    import timm

    network: nn.Module = timm.create_model("resnet10t", num_classes=3).eval()
    return network


def test_a_network_gets_the_form_of_its_family() -> None:
    network = build_network("mobilevitv2_050", 3).eval()
    assert isinstance(mobile_form(network, CONTRACT), MobileForm)
    assert find_form("mobilevitv2_200.cvnets_in22k") is FORMS[0]


@pytest.mark.parametrize("model", ["resnet10t", "mobilevit_s", "mobilevitv3_050", ""])
def test_a_network_without_a_row_is_refused(model: str) -> None:
    with pytest.raises(LesionliteError, match="no form for the family .*: mobilevitv2$"):
        find_form(model)


def test_one_more_is_a_module_and_a_row(other: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LesionliteError, match="^resnet10t cannot be exported: .* family resnet10t"):
        mobile_form(other, CONTRACT)

    class Whole(nn.Module):
        def __init__(self, network: nn.Module, contract: Contract) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.network(image.permute(0, 3, 1, 2) / 255).softmax(-1)

    module = ModuleType("toy_form")
    module.MobileForm = Whole  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_form", module)
    monkeypatch.setattr(table, "FORMS", (*FORMS, Form(("resnet10t",), "toy_form")))
    answer = mobile_form(other, CONTRACT)(torch.zeros(1, 32, 32, 3, dtype=torch.uint8))
    assert answer.shape == (1, 3) and float(answer.detach().sum()) == pytest.approx(1)
