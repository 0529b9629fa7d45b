"""Which form a network gets, and that one more is one module and one row."""

import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from lesionlite.contract import Contract
from lesionlite.export.forms import mobilevitv2, plain, table
from lesionlite.export.forms.table import FORMS, Form, find_form, mobile_form
from lesionlite.train.networks import build_network

CONTRACT = Contract(("a", "b", "c"), side=32)


@pytest.mark.parametrize(
    ("model", "module"), [("mobilevitv2_050", mobilevitv2), ("resnet10t", plain)]
)
def test_a_network_gets_the_first_form_that_fits(model: str, module: ModuleType) -> None:
    network = build_network(model, 3).eval()
    assert type(mobile_form(network, CONTRACT)) is module.MobileForm
    assert find_form(f"{model}.with_a_tag").module == module.__name__


def test_one_more_is_a_module_and_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    class Whole(nn.Module):
        def __init__(self, network: nn.Module, contract: Contract) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.network(image.permute(0, 3, 1, 2) / 255).softmax(-1)

    module = ModuleType("toy_form")
    module.MobileForm = Whole  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_form", module)
    monkeypatch.setattr(table, "FORMS", (Form("resnet10t*", "toy_form"), *FORMS))
    network = build_network("resnet10t", 3).eval()
    answer = mobile_form(network, CONTRACT)(torch.zeros(1, 32, 32, 3, dtype=torch.uint8))
    assert answer.shape == (1, 3) and float(answer.detach().sum()) == pytest.approx(1)
