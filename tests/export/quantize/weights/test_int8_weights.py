"""Weights in 8 bits: learned rounding keeps more, files hold it exactly, biases make good."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lesionlite.export.check.untrained import untrained
from lesionlite.export.formats import FORMATS
from lesionlite.export.forms.attention import GROUPED, NCHW, NHWC, ORT, TORCH, Variant
from lesionlite.export.mil.execute import read_function
from lesionlite.export.quantize.quant_params import FEW_WEIGHTS, to_int8, to_int8_in_pairs
from lesionlite.export.quantize.quantized_form import shift_of_pairs
from lesionlite.export.quantize.weights.int8_weights import round_to_int8
from lesionlite.export.quantize.wiring import LAYERS
from lesionlite.export.source import Source, example
from lesionlite.export.writers import to_coreml
from tests.export.quantize.weights.test_weight_rounding import drawn_layer, output_error


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
    return Source(made.network, made.contract, made.metadata, images=np.stack(images))


@pytest.mark.parametrize("variant", [NHWC, GROUPED, ORT, TORCH])
def test_every_spelling_has_the_same_learned_weights(source: Source, variant: Variant) -> None:
    images = torch.from_numpy(source.calibration[:4])
    answers, others = (source.form(one, "w8")(images) for one in (NCHW, variant))
    torch.testing.assert_close(answers, others, atol=1e-4, rtol=0)
    assert (source.form(variant)(images) - others).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_a_file_holds_exactly_the_learned_weights(
    source: Source, name: str, tmp_path: Path
) -> None:
    row, images = FORMATS[name], source.calibration[:3]
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
    image = example(source.contract)
    torch.testing.assert_close(plain.form(NCHW, "w8")(image), plain.form(NCHW)(image))
    row = FORMATS["onnx"]
    row.toolchain().convert(plain, {"w8": tmp_path / "a.onnx"})
    assert row.toolchain().load(tmp_path / "a.onnx", 1).classify(source.calibration[0]).sum() > 0.99


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(16, 8), nn.Conv2d(16, 8, 3), nn.Conv2d(16, 8, 1, groups=4)],
)
def test_the_bias_makes_good_for_weights_of_pairs(layer: nn.Linear | nn.Conv2d) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        layer.weight.uniform_(0.5, 1, generator=generator)  # neighbours add up to more than 128
    means = torch.rand(16, generator=generator) * 3
    shift = shift_of_pairs(layer, means)
    shape = (1, 16) if isinstance(layer, nn.Linear) else (1, 16, 5, 5)
    image = means.reshape(shape[:2] + (1,) * (len(shape) - 2)).expand(shape)
    answers = []
    for stored, scales in (to_int8(layer.weight), to_int8_in_pairs(layer.weight)):
        layer.weight.data = stored * scales
        answers.append(layer(image).flatten(2).mean(2) if len(shape) > 2 else layer(image))
    assert shift.abs().max() > 1e-3
    torch.testing.assert_close(answers[1] + shift, answers[0], atol=1e-5, rtol=1e-5)
