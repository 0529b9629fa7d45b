"""What is particular to `.onnx` files: how pixels become floats, and what stays in float."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from lesionlite.export.quantize.quant_params import to_int8, to_int8_in_pairs
from lesionlite.export.writers.onnx_layers import keep_floats
from lesionlite.export.writers.onnx_pixels import dequantize_pixels
from lesionlite.export.writers.to_onnx import OPSET, open_session


def cast_pixels(side: int = 8) -> Any:
    """A model that transposes pixels and casts them to floats, as PyTorch's exporter spells it."""
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["image"], ["turned"], perm=[0, 3, 1, 2]),
            helper.make_node("Cast", ["turned"], ["floats"], to=TensorProto.FLOAT, name="cast"),
            helper.make_node("Relu", ["floats"], ["answer"]),
        ],
        "pixels",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, (1, side, side, 3))],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, (1, 3, side, side))],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def casts_from_pixels(model: Any) -> list[str]:
    """The names of the nodes that cast pixels to floats."""
    pixels = {one.name for one in model.graph.input}
    for node in model.graph.node:
        if node.op_type == "Transpose" and set(node.input) & pixels:
            pixels.update(node.output)
    return [n.name for n in model.graph.node if n.op_type == "Cast" and set(n.input) & pixels]


def test_dequantized_pixels_are_the_same_floats() -> None:
    old, new = cast_pixels(), cast_pixels()
    dequantize_pixels(new)
    onnx.checker.check_model(new, full_check=True)
    assert casts_from_pixels(old) == ["cast"] and not casts_from_pixels(new)
    image = np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3)
    answers = [
        open_session(model.SerializeToString(), 1)[0].run(None, {"image": image})[0]
        for model in (old, new)
    ]
    np.testing.assert_array_equal(answers[1], image.transpose(0, 3, 1, 2).astype(np.float32))
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "w8", "w8a8"])
def test_no_file_casts_pixels(precision: str, artifacts: Path) -> None:
    assert not casts_from_pixels(onnx.load(artifacts / f"mobilevitv2_050-{precision}.onnx"))


def largest_sum_of_a_pair(stored: np.ndarray) -> int:
    """Of neighbouring weights of equal sign, int8 [O, I] or [O, I, H, W], whatever the order."""
    orders = [stored.reshape(len(stored), -1)]
    if stored.ndim == 4:
        orders.append(stored.transpose(0, 2, 3, 1).reshape(len(stored), -1))
    sums = [0]
    for flat in orders if stored.shape[1] > 1 else ():
        whole = np.pad(flat.astype(int), ((0, 0), (0, flat.shape[1] % 2)))
        pairs = whole.reshape(len(flat), -1, 2)
        sums += [pairs.clip(0).sum(2).max(), (-pairs).clip(0).sum(2).max()]
    return max(sums)


@pytest.mark.parametrize("shape", [(8, 7), (8, 6, 1, 1), (8, 4, 3, 3), (8, 1, 3, 3)])
def test_pairs_of_weights_fit_16_bits(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    weight = torch.randn(shape)
    stored, scales = to_int8_in_pairs(weight)
    assert largest_sum_of_a_pair(stored.numpy()) <= 128
    assert (stored * scales - weight).abs().max() <= scales.max() / 2 + 1e-6
    if shape[1] > 1:  # the usual scales would saturate
        assert largest_sum_of_a_pair(to_int8(weight)[0].numpy()) > 128
    else:  # depthwise kernels add one product at a time
        assert torch.equal(scales, to_int8(weight)[1])


def test_no_file_saturates_on_any_processor(artifacts: Path) -> None:
    graph = onnx.load(artifacts / "mobilevitv2_050-w8a8.onnx").graph
    stored = {x.name: numpy_helper.to_array(x) for x in graph.initializer if x.data_type == 3}
    weights = [array for array in stored.values() if array.ndim in (2, 4)]
    assert len(weights) > 40
    for array in weights:
        # A linear layer's weight is stored as [I, O], so either order of its axes may be right.
        found = [largest_sum_of_a_pair(array)]
        if array.ndim == 2:
            found.append(largest_sum_of_a_pair(array.T))
        assert min(found) <= 128


@pytest.mark.parametrize("precision", ["fp32", "fp16", "w8"])
def test_files_that_compute_in_float_get_no_work_for_it(precision: str, artifacts: Path) -> None:
    graph = onnx.load(artifacts / f"mobilevitv2_050-{precision}.onnx").graph
    assert not [name for node in graph.node for name in node.output if ".in_float." in name]


def layer_between_integers() -> Any:
    """Pixels, dequantized, a depthwise convolution with weights of unequal size, quantized."""
    rng = np.random.default_rng(0)
    weight = (
        rng.normal(size=(4, 1, 3, 3)) * [[[[10.0]]], [[[1.0]]], [[[0.1]]], [[[0.01]]]]
    ).astype(np.float32)
    constants = {
        "weight": weight,
        "scale": np.array(0.1, np.float32),
        "zero": np.array(3, np.uint8),
        "fine": np.array(0.01, np.float32),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["image", "scale", "zero"], ["x"]),
        helper.make_node("Conv", ["x", "weight"], ["y"], group=4),
        helper.make_node("Clip", ["y", "", "six"], ["z"]),
        helper.make_node("QuantizeLinear", ["z", "fine", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "fine", "zero"], ["result"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, (1, 4, 8, 8))],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, (1, 4, 6, 6))],
        [
            numpy_helper.from_array(value, name)
            for name, value in (constants | {"six": np.array(6, np.float32)}).items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_a_layer_that_the_plan_leaves_in_float_stays_in_float() -> None:
    image = np.random.default_rng(1).integers(0, 256, (1, 4, 8, 8), np.uint8)

    def answer(model: Any, fuse: bool) -> Any:
        session, _ = open_session(model.SerializeToString(), 1, fuse)
        return session.run(None, {"image": image})[0]

    model = layer_between_integers()
    exact = answer(model, fuse=False)
    # ONNX Runtime's own doing; `keep_floats` can go when this line fails.
    assert np.abs(answer(model, fuse=True) - exact).max() > 0.1
    keep_floats(model)
    onnx.checker.check_model(model)
    for fuse in (False, True):
        assert np.abs(answer(model, fuse) - exact).max() < 0.011  # one step
