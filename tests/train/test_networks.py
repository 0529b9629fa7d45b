"""Any network of timm: what it expects, what it is refused for, where its last layer is."""

import pytest
import torch

from lesionlite.errors import LesionliteError
from lesionlite.train.config import TrainConfig
from lesionlite.train.networks import Expected, build_network, classifiers, expected


def test_what_published_weights_expect_becomes_the_contract() -> None:
    assert expected("mobilevitv2_100") == Expected(256, (0.0,) * 3, (1.0,) * 3, "bicubic")
    own = TrainConfig(model="tf_efficientnet_lite0").contract(("a", "b"))
    assert (own.side, own.mean, own.std) == (224, (0.5,) * 3, (0.5,) * 3)
    assert own.interpolation == "bicubic"
    changed = TrainConfig(
        model="tf_efficientnet_lite0",
        side=96,
        interpolation="area",
        mean=(0.1, 0.2, 0.3),
        std=(1.0, 2.0, 3.0),
    ).contract(("a", "b"))
    assert (changed.side, changed.interpolation) == (96, "area")
    assert (changed.mean, changed.std) == ((0.1, 0.2, 0.3), (1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("mobilevitv2_050", ("head.fc.weight", "head.fc.bias")),
        ("resnet10t", ("fc.weight", "fc.bias")),
        ("mobilenetv3_small_050", ("classifier.weight", "classifier.bias")),
        (
            "efficientformerv2_s0",
            ("head.weight", "head.bias", "head_dist.weight", "head_dist.bias"),
        ),
    ],
)
def test_the_last_layer_is_found(name: str, layers: tuple[str, ...]) -> None:
    assert classifiers(build_network(name, 3)) == layers


def test_a_network_of_a_fixed_size_is_built_for_the_side() -> None:
    network = build_network("efficientformerv2_s0", 3, side=96).eval()
    assert network(torch.zeros(1, 3, 96, 96)).shape == (1, 3)


def test_what_cannot_classify_is_refused() -> None:
    with pytest.raises(LesionliteError, match="no model 'lcnet_03'.*lcnet_035.*list_models"):
        build_network("lcnet_03", 3)
    with pytest.raises(LesionliteError, match=r"cannot classify RGB images of 32 x 32.*\(299\)"):
        build_network("inception_v4", 3, side=32)
    with pytest.raises(LesionliteError, match="dla46_c has no branches to skip"):
        build_network("dla46_c", 3, drop_path=0.1)
