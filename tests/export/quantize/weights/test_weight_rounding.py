"""Palettes: learned rounding keeps more than the nearest, and files hold exactly its weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lesionlite.export.check.untrained import untrained
from lesionlite.export.forms.attention import NCHW
from lesionlite.export.forms.mobilevitv2 import MobileForm
from lesionlite.export.mil.execute import read_function
from lesionlite.export.quantize.quant_params import FEW_WEIGHTS
from lesionlite.export.quantize.search import logits
from lesionlite.export.quantize.sensitivity import divergence
from lesionlite.export.quantize.weights import weight_rounding
from lesionlite.export.quantize.weights.palettes import to_palette
from lesionlite.export.quantize.weights.weight_rounding import WeightRounder
from lesionlite.export.writers import to_coreml


def drawn_layer(groups: int) -> tuple[Tensor, Tensor]:
    """A weight [32, 36], and the covariance of inputs that depend on each other."""
    generator = torch.Generator().manual_seed(groups)
    mixed = torch.randn(groups, 500, 36, generator=generator) @ torch.randn(
        groups, 36, 36, generator=generator
    )
    return torch.randn(32, 36, generator=generator), mixed.transpose(1, 2) @ mixed / 500


def output_error(weight: Tensor, rounded: Tensor, covariance: Tensor) -> float:
    rows = (weight - rounded).reshape(len(covariance), -1, weight.shape[1])
    return float(((rows @ covariance) * rows).sum())


@pytest.mark.parametrize("bits", [4, 6])
@pytest.mark.parametrize("groups", [1, 4, 32])
def test_outputs_change_less_than_with_nearest_rounding(bits: int, groups: int) -> None:
    weight, covariance = drawn_layer(groups)
    learned = to_palette(weight, covariance, bits)
    nearest = to_palette(weight, covariance.diagonal(dim1=1, dim2=2), bits)
    for rounded in (learned, nearest):
        assert len(rounded.unique()) <= 2**bits and torch.equal(rounded.half().float(), rounded)
    errors = [output_error(weight, rounded, covariance) for rounded in (learned, nearest)]
    assert errors[0] < errors[1] / 1.6


def test_inputs_that_never_vary_do_no_harm() -> None:
    weight, covariance = drawn_layer(1)
    covariance[:, 3], covariance[:, :, 3] = 0, 0
    assert to_palette(weight, covariance, 4).isfinite().all()
    assert to_palette(weight, torch.zeros_like(covariance), 4).isfinite().all()


def test_a_networks_answers_change_less(
    form: MobileForm, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = torch.from_numpy(images)
    reference = logits(form, pixels)
    before = {name: value.clone() for name, value in form.state_dict().items()}
    learned = divergence(logits(WeightRounder(form, images).round(4), pixels), reference)
    assert all(torch.equal(value, before[name]) for name, value in form.state_dict().items())
    monkeypatch.setattr(weight_rounding, "WIDE", 0)  # variances alone: nearest rounding
    nearest = divergence(logits(WeightRounder(form, images).round(4), pixels), reference)
    assert 0 < learned < nearest / 2


def test_biases_correct_the_means(form: MobileForm, images: np.ndarray) -> None:
    rounder = WeightRounder(form, images)
    rounded: Any = rounder.round(4)
    for batch, means in zip(rounder.batches, rounder.means, strict=True):
        shifts = weight_rounding._shifts(rounded, batch, means)
        assert max(float(shift.abs().max()) for shift in shifts.values()) < 1
        rounded.head.bias.data += 5  # a planted shift is seen
        assert float(weight_rounding._shifts(rounded, batch, means)["head"].min()) < -4
        break


def stored_weights(path: Path) -> dict[str, np.ndarray]:
    """The weights that a file holds as indices, by the layer's name with _ for each dot."""
    found = {}
    for op in read_function(path).operations:
        if op.op_type == "constexpr_lut_to_dense":
            name = op.name.removeprefix("form_").split("_weight")[0]
            lut = np.asarray(op.lut.val).flatten()
            assert len(lut) in (16, 64, 256)
            found[name] = np.asarray(op.materialized_val_inference())
    return found


def differing(path: Path, rounded: Any) -> list[str]:
    """The layers whose weight a file does not hold exactly, as indices."""
    stored = stored_weights(path)
    layers = {name: layer for name, layer in rounded.named_modules() if hasattr(layer, "weight")}
    large = {n: m.weight for n, m in layers.items() if m.weight.numel() > FEW_WEIGHTS}
    assert len(large) > 20
    return [
        name
        for name, weight in large.items()
        if (held := stored.get(name.replace(".", "_"))) is None
        or not np.array_equal(held.flatten().astype(np.float32), weight.numpy().flatten())
    ]


@pytest.mark.parametrize("model", ["mobilevitv2_050", "mobilenetv3_small_050"])
def test_a_file_holds_exactly_the_learned_weights(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, drawn, _ = untrained(model, 64)
    images = np.stack(drawn)
    source = replace(made, rounder=WeightRounder(made.form(NCHW), images))
    rounded = source.calibrated.round(4)
    path = tmp_path / "a.mlpackage"
    to_coreml.convert(source, {"w4": path})
    assert differing(path, rounded) == []
    exact = to_coreml._indices

    def wrong(weight: Any) -> tuple[Any, Any]:
        palette, indices = exact(weight)
        return palette * palette.dtype.type(1.01), indices

    monkeypatch.setattr(to_coreml, "_indices", wrong)
    to_coreml.convert(source, {"w4": tmp_path / "b.mlpackage"})
    assert len(differing(tmp_path / "b.mlpackage", rounded)) > 20


def test_weights_of_no_layer_get_256_values() -> None:
    weight = np.random.default_rng(0).normal(size=(5, 1000)).astype(np.float16)
    palette, indices = to_coreml._indices(weight)
    assert len(palette) == 256 and palette.dtype == np.float16 and indices.shape == (5000,)
    assert np.abs(palette[indices].astype(np.float32) - weight.flatten()).max() < 0.2
