"""Apple's checkpoints of MobileViTv2. Their names are written down here as their modules nest.

The list was compared, names, shapes and logits, with what ml-cvnets' own code makes of widths 0.5,
1.0 and 1.25; it is not among the tests' requirements.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lesionlite.errors import LesionliteError
from lesionlite.train.model import start_weights
from lesionlite.train.networks import build_network

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
NAME = "mobilevitv2_050"


def conv_layer(name: str, norm: bool = True, bias: bool = False) -> Iterator[str]:
    """cvnets/layers/conv_layer.py: a Sequential `block` of conv and norm."""
    yield f"{name}.block.conv.weight"
    if bias:
        yield f"{name}.block.conv.bias"
    if norm:
        yield from (f"{name}.block.norm.{part}" for part in NORM)


def inverted_residual(name: str) -> Iterator[str]:
    """cvnets/modules/mobilenetv2.py."""
    for part in ("exp_1x1", "conv_3x3", "red_1x1"):
        yield from conv_layer(f"{name}.block.{part}")


def block(name: str, attentions: int) -> Iterator[str]:
    """cvnets/modules/mobilevit_block.py, transformer.py and layers/linear_attention.py."""
    yield from conv_layer(f"{name}.local_rep.0")
    yield from conv_layer(f"{name}.local_rep.1", norm=False)
    for i in range(attentions):
        attn, ffn = (f"{name}.global_rep.{i}.pre_norm_{part}" for part in ("attn", "ffn"))
        yield from (f"{attn}.0.weight", f"{attn}.0.bias")
        yield from conv_layer(f"{attn}.1.qkv_proj", norm=False, bias=True)
        yield from conv_layer(f"{attn}.1.out_proj", norm=False, bias=True)
        yield from (f"{ffn}.0.weight", f"{ffn}.0.bias")
        yield from conv_layer(f"{ffn}.1", norm=False, bias=True)
        yield from conv_layer(f"{ffn}.3", norm=False, bias=True)
    yield from (f"{name}.global_rep.{attentions}.{part}" for part in ("weight", "bias"))
    yield from conv_layer(f"{name}.conv_proj")


def their_names() -> list[str]:
    """cvnets/models/classification/mobilevit_v2.py, in the order of its modules, as timm's are."""
    names = [*conv_layer("conv_1"), *inverted_residual("layer_1.0")]
    for part in ("layer_2.0", "layer_2.1"):
        names += inverted_residual(part)
    for layer, attentions in ((3, 2), (4, 4), (5, 3)):
        names += inverted_residual(f"layer_{layer}.0")
        names += block(f"layer_{layer}.1", attentions)
    return [*names, "classifier.1.weight", "classifier.1.bias"]


def network_of_chance(classes: int) -> nn.Module:
    """No two tensors of it are alike, so that one at another's place is noticed."""
    torch.manual_seed(0)
    network = build_network(NAME, classes).eval()
    for name, value in network.state_dict().items():
        if value.ndim == 1:
            value.uniform_(0.5, 1.5) if "var" in name else value.normal_(0.5, 0.5)
    return network


def save_as_apple(network: nn.Module, file: Path, **changed: Tensor) -> Path:
    state = dict(zip(their_names(), network.state_dict().values(), strict=True))
    torch.save({**state, **changed}, file)
    return file


def test_an_ml_cvnets_checkpoint_gives_the_same_logits(tmp_path: Path) -> None:
    theirs, ours = network_of_chance(1000), build_network(NAME, 1000).eval()
    file = save_as_apple(theirs, tmp_path / "mobilevitv2-0.5.pt")
    said = start_weights(ours, NAME, str(file), keep_head=True)
    assert said == f"weights of {file}, an ml-cvnets checkpoint"
    image = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(ours(image), theirs(image))


def test_its_thousand_classes_make_way(tmp_path: Path) -> None:
    file = save_as_apple(network_of_chance(1000), tmp_path / "mobilevitv2-0.5.pt")
    ours = build_network(NAME, 14)
    assert "classifier is of other classes: new" in start_weights(ours, NAME, str(file), False)
    with pytest.raises(LesionliteError, match="head.fc.weight"):
        start_weights(ours, NAME, str(file), keep_head=True)


def test_another_width_or_network_of_theirs_is_refused(tmp_path: Path) -> None:
    file = save_as_apple(network_of_chance(1000), tmp_path / "mobilevitv2-0.5.pt")
    wider = build_network("mobilevitv2_075", 1000)
    with pytest.raises(LesionliteError, match=f"does not fit the network.*pass --model {NAME}"):
        start_weights(wider, "mobilevitv2_075", str(file), False)
    first = {"conv_1.block.conv.weight": torch.zeros(16, 3, 3, 3)}
    first["layer_3.1.global_rep.0.pre_norm_mha.0.weight"] = torch.zeros(144)  # MobileViT, not v2
    torch.save(first, tmp_path / "mobilevit_s.pt")
    with pytest.raises(LesionliteError, match="does not fit the network.*it is of another network"):
        start_weights(build_network(NAME, 1000), NAME, str(tmp_path / "mobilevit_s.pt"), False)
