"""Weights in 8 bits: learned rounding keeps more, files hold it exactly, biases make good."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lesionlite.export.check.untrained import untrained
from lesionlite.export.formats import FORMATS
from lesionlite.export.forms.attention import GROUPED, NCHW, NHWC, ORT, TORCH, Variant
from lesionlite.export.mil.execute import read_function
from lesionlite.export.quantize.quant_params import (
    FEW_WEIGHTS,
    neighbours,
    to_int8,
    to_int8_in_pairs,
)
from lesionlite.export.quantize.quantized_form import QuantizedLayer
from lesionlite.export.quantize.weights.int8_weights import round_to_int8
from lesionlite.export.quantize.weights.weight_rounding import WeightRounder
from lesionlite.export.quantize.wiring import LAYERS
from lesionlite.export.source import Source, example
from lesionlite.export.writers import to_coreml
from tests.export.quantize.weights.test_weight_rounding import drawn_layer, output_error

LAYER = "blocks.1.conv1_1x1.conv"


@pytest.mark.parametrize("groups", [1, 4, 32])
def test_outputs_change_less_and_the_scales_stay(groups: int) -> None:
    weight, covariance = drawn_layer(groups)
    learned = round_to_int8(weight, covariance)
    stored, scales = to_int8(weight)
    again, same = to_int8(learned)
    torch.testing.assert_close(again * same, learned)
    torch.testing.assert_close(same, scales)
    errors = [output_error(weight, one, covariance) for one in (learned, stored * scales)]
    assert errors[0] < errors[1] / 1.6


def test_wide_layers_get_the_nearest() -> None:
    weight, covariance = drawn_layer(1)
    stored, scales = to_int8(weight)
    rounded = round_to_int8(weight, covariance.diagonal(dim1=1, dim2=2))
    torch.testing.assert_close(rounded, stored * scales)


@pytest.fixture(scope="module")
def source() -> Source:
    made, images, _ = untrained("mobilevitv2_050", 64)
    rounder = WeightRounder(made.form(NCHW), np.stack(images))
    return replace(made, rounder=rounder)


@pytest.mark.parametrize("variant", [NHWC, GROUPED, ORT, TORCH])
def test_every_spelling_has_the_same_learned_weights(source: Source, variant: Variant) -> None:
    images = source.calibrated.images[:4]
    answers, others = (source.form(one, "w8")(images) for one in (NCHW, variant))
    torch.testing.assert_close(answers, others, atol=1e-4, rtol=0)
    assert (source.form(variant)(images) - others).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_a_file_holds_exactly_the_learned_weights(
    source: Source, name: str, tmp_path: Path
) -> None:
    row, images = FORMATS[name], source.calibrated.images[:3].numpy()
    path = tmp_path / f"a{row.suffix}"
    row.toolchain().convert(source, {"w8": path})
    runner = row.toolchain().load(path, 2)
    found = np.stack([runner.classify(image) for image in images])
    expected = source.form(NCHW, "w8")(torch.from_numpy(images)).numpy()
    in_float = source.form(NCHW)(torch.from_numpy(images)).numpy()
    assert np.abs(found - expected).max() < 1e-5 < np.abs(in_float - expected).max()


def test_a_package_holds_exactly_the_learned_weights(source: Source, tmp_path: Path) -> None:
    to_coreml.convert(source, {"w8": tmp_path / "a.mlpackage"})
    layers = dict(source.form(NCHW, "w8").named_modules())
    large = {n: m.weight for n, m in layers.items() if isinstance(m, LAYERS)}
    large = {n: w for n, w in large.items() if w.numel() > FEW_WEIGHTS}
    stored = {
        op.name.removeprefix("form_").split("_weight")[0]: np.asarray(op.quantized_data.val)
        for op in read_function(tmp_path / "a.mlpackage").operations
        if op.op_type == "constexpr_affine_dequantize"
    }
    assert len(large) > 20
    for name, weight in large.items():
        held, whole = stored[name.replace(".", "_")].flatten(), to_int8(weight)[0].flatten()
        in_half = weight.abs().amax((1, 2, 3) if weight.dim() == 4 else 1) > 2**-8
        assert in_half.float().mean() > 0.5
        fine = in_half.repeat_interleave(weight[0].numel()).numpy()  # else fp16 has few digits
        np.testing.assert_array_equal(held[fine], whole.numpy()[fine], name)


def test_without_images_weights_go_to_the_nearest(source: Source, tmp_path: Path) -> None:
    plain = Source(source.network, source.contract, source.metadata)
    black = example(source.contract)
    torch.testing.assert_close(plain.form(NCHW, "w8")(black), plain.form(NCHW)(black))
    row = FORMATS["onnx"]
    row.toolchain().convert(plain, {"w8": tmp_path / "a.onnx"})
    runner = row.toolchain().load(tmp_path / "a.onnx", 1)
    assert runner.classify(source.calibrated.images[0].numpy()).sum() > 0.99


@pytest.mark.parametrize("shape", [(8, 7), (8, 6, 1, 1), (8, 5, 3, 3), (8, 1, 3, 3), (8, 4, 1, 3)])
def test_neighbours_are_those_of_both_orders(shape: tuple[int, ...]) -> None:
    count = int(np.prod(shape[1:]))
    own = np.arange(count).reshape(shape[1:])
    orders = [own.flatten(), np.moveaxis(own, 0, -1).flatten()] if shape[1] > 1 else []
    found = neighbours(shape).tolist()
    assert len(found) == len(orders)
    for row, order in zip(found, orders, strict=True):
        for at, weight in enumerate(order):
            beside = order[at ^ 1] if at ^ 1 < count else count
            assert row[weight] == beside


@pytest.mark.parametrize("groups", [1, 4, 32])
def test_learned_pairs_do_not_saturate_and_the_scales_stay(groups: int) -> None:
    weight, covariance = drawn_layer(groups)
    learned = round_to_int8(weight, covariance, in_pairs=True)
    stored, scales = to_int8_in_pairs(weight)
    again, same = to_int8_in_pairs(learned)
    torch.testing.assert_close(again * same, learned)
    torch.testing.assert_close(same, scales)
    whole = F.pad((learned / scales).round().flatten(1), (0, 1))
    for row in neighbours(weight.shape):
        pairs = torch.stack([whole[:, :-1], whole[:, row]])
        alike = pairs[0] * pairs[1] > 0
        assert (pairs.sum(0).abs()[alike]).max() <= 127
    if weight.shape[1] > 1:  # else no kernel adds pairs: the usual integers would do
        assert not torch.equal(scales, to_int8(weight)[1])
    errors = [output_error(weight, one, covariance) for one in (learned, stored * scales)]
    assert errors[0] < errors[1] / 1.6


@pytest.mark.parametrize(("variant", "in_pairs"), [(ORT, True), (NHWC, False)])
def test_a_layer_of_the_plan_has_the_integers_of_its_kernels(
    source: Source, variant: Variant, in_pairs: bool
) -> None:
    layers = dict(source.to_quantize(variant, [LAYER]).named_modules())
    others = dict(source.form(variant).named_modules())
    rounded: Any = source.calibrated.round_for_kernels(in_pairs).get_submodule(LAYER)
    weight: Any = layers[LAYER].weight
    torch.testing.assert_close(weight.flatten(), rounded.weight.flatten())
    layer = QuantizedLayer(layers[LAYER], nn.Identity(), nn.Identity(), signed=variant.signed)
    torch.testing.assert_close(layer.weight.flatten(), weight.flatten())
    changed = [
        name
        for name, one in others.items()
        if isinstance(one, LAYERS) and not torch.equal(one.weight, layers[name].weight)
    ]
    assert changed == [LAYER]
