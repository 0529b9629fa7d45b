"""Weights as other tools write them."""

import argparse
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.train.model import (
    all_logits,
    first_infinite_layer,
    refuse_infinite_answers,
    start_weights,
)
from lesionlite.train.networks import build_network
from lesionlite.train.states import looks_like, read_state

NAME = "mobilevitv2_050"


def tensors(value: float = 1.0, prefix: str = "") -> dict[str, Tensor]:
    return {
        f"{prefix}stem.conv.weight": torch.full((16, 3, 3, 3), value),
        f"{prefix}stem.bn.num_batches_tracked": torch.tensor(3),
        f"{prefix}head.fc.bias": torch.full((5,), value),
    }


def saved(document: Any, tmp_path: Path) -> Path:
    torch.save(document, tmp_path / "x.pt")
    return tmp_path / "x.pt"


def first(state: Mapping[str, Tensor]) -> float:
    assert set(state) == set(tensors())
    return float(state["stem.conv.weight"].flatten()[0])


TIMM = {
    "epoch": 3,
    "arch": NAME,
    "state_dict": tensors(),
    "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
    "version": 2,
    "args": argparse.Namespace(model=NAME, lr=0.1, mean=None, opt_betas=[0.9]),
    "state_dict_ema": tensors(2.0),
    "metric": 71.5,
}
LIGHTNING = {
    "epoch": 1,
    "pytorch-lightning_version": "2.0",
    "callbacks": {},
    "hyper_parameters": {"lr": 0.1},
    "state_dict": OrderedDict(
        {**tensors(prefix="model._orig_mod."), "criterion.weight": torch.ones(5)}
    ),
}


@pytest.mark.parametrize(
    ("document", "average", "value", "said"),
    [
        (tensors(), True, 1, ""),
        ({"state_dict": tensors(), "state_dict_ema": tensors(2.0)}, True, 2, "state_dict_ema"),
        ({"state_dict": tensors(), "state_dict_ema": tensors(2.0)}, False, 1, "state_dict"),
        ({"model": tensors(), "model_ema": tensors(2.0)}, True, 2, "model_ema"),
        ({"model": tensors(), "best_acc": torch.tensor(0.9)}, True, 1, "model"),
        ({"model_state_dict": tensors(), "loss": 0.1}, True, 1, "model_state_dict"),
        ({"model": {"state_dict": tensors()}}, True, 1, "state_dict in model"),
        (TIMM, True, 2, "state_dict_ema"),
        (TIMM, False, 1, "state_dict"),
        (
            LIGHTNING,
            True,
            1,
            "state_dict, without the prefix model._orig_mod. and 1 tensors of others "
            "(criterion.weight)",
        ),
        (tensors(prefix="module."), True, 1, "without the prefix module."),
        (tensors(prefix="_orig_mod.module."), True, 1, "without the prefix _orig_mod.module."),
        (
            {"state_dict": {**tensors(prefix="net."), **tensors(2.0, "ema_net.module.")}},
            True,
            2,
            "state_dict, without the prefix ema_net.module. and 3 tensors of others "
            "(net.stem.conv.weight)",
        ),
    ],
)
def test_layouts_are_read_and_said(
    tmp_path: Path, document: Any, average: bool, value: float, said: str
) -> None:
    state = read_state(saved(document, tmp_path), average, tensors())
    assert first(state.tensors) == value and state.description == said


def test_safetensors_with_a_prefix(tmp_path: Path) -> None:
    save_file(tensors(prefix="module."), tmp_path / "x.safetensors")
    state = read_state(tmp_path / "x.safetensors", names=tensors())
    assert first(state.tensors) == 1 and state.description == "without the prefix module."


RECURSIVE: dict[str, Any] = {"epoch": 1}
RECURSIVE["model"] = RECURSIVE


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"state_dict": [1]}, "holds no state dict: it is a dictionary of state_dict"),
        ([1, 2], "holds no state dict: it is a list"),
        ({}, "an empty dictionary"),
        (3, "it is a int"),
        (torch.ones(3), "it is a Tensor"),
        ({1: torch.ones(3)}, "a dictionary of 1"),
        (RECURSIVE, "holds no state dict"),
        ({"state_dict": {"stem.conv.weight": 3}}, "holds no state dict"),
        ({**tensors(prefix="a."), **tensors(prefix="b.")}, "holds 2 networks ('a.', 'b.')"),
        ({**tensors(), "x": torch.ones(2, device="meta")}, "x is on the device meta"),
        ({**tensors(), "x": torch.eye(3).to_sparse()}, "x is not dense"),
        ({**tensors(), "x": torch.ones(0)}, "x is empty (shape [0])"),
        ({**tensors(), "x": torch.ones(3, dtype=torch.int32)}, "x is of int32; expected float"),
        ({**tensors(), "x": torch.ones(3, dtype=torch.bool)}, "x is of bool"),
        ({**tensors(), "x": torch.ones(3, dtype=torch.complex64)}, "x is of complex64"),
        ({**tensors(), "x": torch.tensor([1, float("nan")])}, "x is not finite (1 of 2 numbers"),
        ({**tensors(), "x": torch.tensor([1e300], dtype=torch.float64)}, "x is not finite"),
        (
            {**tensors(), "x": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)},
            "x is quantized",
        ),
    ],
)
def test_what_no_network_can_take_is_named(tmp_path: Path, document: Any, said: str) -> None:
    with pytest.raises(LesionliteError) as caught:
        read_state(saved(document, tmp_path), names=tensors())
    assert said in str(caught.value) and "x.pt" in str(caught.value)


class Evil:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("inside", ["top", "args"])
def test_nothing_in_a_file_is_executed(tmp_path: Path, inside: str) -> None:
    evil = Evil(tmp_path / "made")
    args = argparse.Namespace(lr=evil) if inside == "args" else evil
    file = saved({"state_dict": tensors(), "args": args}, tmp_path)
    with pytest.raises(LesionliteError, match=r"holds more than tensors .*torch.load.*save_file"):
        read_state(file)
    assert not (tmp_path / "made").exists()
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


def test_other_files_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_text("hello")
    with pytest.raises(LesionliteError, match="is damaged or no weights file"):
        read_state(tmp_path / "x.pt")
    (tmp_path / "x.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(LesionliteError, match="is damaged or no weights file"):
        read_state(tmp_path / "x.safetensors")
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(LesionliteError, match="is no regular file"):
        read_state(tmp_path / "pipe.pt")
    with pytest.raises(LesionliteError, match="there is no weights file"):
        read_state(tmp_path / "none.pt")


def test_every_width_is_told_by_its_stem() -> None:
    for name in ("050", "075", "100", "125", "150", "175", "200"):
        state = build_network(f"mobilevitv2_{name}", 3).state_dict()
        assert looks_like(state) == (f"mobilevitv2_{name}", 3)
    assert looks_like({"conv1.weight": torch.ones(64, 3, 7, 7)}) == ("", None)


def test_the_advice_is_of_the_network_that_was_given(tmp_path: Path) -> None:
    network = build_network(NAME, 5)
    other = saved(build_network("mobilevitv2_075", 5).state_dict(), tmp_path)
    with pytest.raises(LesionliteError, match=r"it is a mobilevitv2_075, .*--model mobilevitv2_0"):
        start_weights(network, NAME, str(other), False)
    same = saved(build_network(NAME, 7).state_dict(), tmp_path)
    with pytest.raises(LesionliteError, match="it has 7 classes, and 5 are needed"):
        start_weights(network, NAME, str(same), True)
    resnet = saved({"conv1.weight": torch.ones(64, 3, 7, 7)}, tmp_path)
    with pytest.raises(LesionliteError, match="it is of another network; give"):
        start_weights(network, NAME, str(resnet), False)
    taken = saved({"state_dict_ema": build_network(NAME, 5).state_dict()}, tmp_path)
    assert start_weights(network, NAME, str(taken), True).endswith("x.pt (state_dict_ema)")


class Steps(nn.Module):
    """Its second layer's output is what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.second = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x)).mean((2, 3)))


def test_the_first_layer_that_is_not_finite_is_named() -> None:
    network = Steps().eval()
    contract = Contract(("a", "b"), side=32)
    pixels = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    assert first_infinite_layer(network, pixels, contract) == ""
    refuse_infinite_answers(network, pixels, contract)
    assert np.isfinite(all_logits(network, np.zeros((2, 32, 32, 3), np.uint8), contract)).all()
    with torch.no_grad():
        network.second[0].bias[1] = float("inf")
    assert first_infinite_layer(network, pixels, contract) == "second.0 (Conv2d)"
    with pytest.raises(LesionliteError, match=r"is that of second.0 \(Conv2d\)"):
        all_logits(network, np.zeros((2, 32, 32, 3), np.uint8), contract)
    assert not any(module._forward_hooks for module in network.modules())


def test_logits_that_the_temperature_makes_infinite() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)).eval()
    with torch.no_grad():
        network[2].bias.fill_(3e38)
    contract = Contract(("a", "b"), side=32, temperature=0.2)
    with pytest.raises(LesionliteError, match=r"division by the temperature 0.2"):
        all_logits(network, np.zeros((1, 32, 32, 3), np.uint8), contract)


def test_a_namespace_of_other_things_is_refused(tmp_path: Path) -> None:
    args = argparse.Namespace(out=Path("x"), more=SimpleNamespace())
    with pytest.raises(LesionliteError, match=r"more than tensors \(pathlib"):
        read_state(saved({"state_dict": tensors(), "args": args}, tmp_path))
