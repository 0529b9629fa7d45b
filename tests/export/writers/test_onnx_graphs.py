"""What `.onnx` files are written as, so that ONNX Runtime executes them fast."""

from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from lesionlite.export.writers.onnx_gelu import join_gelus, spell_gelus
from lesionlite.export.writers.onnx_layers import (
    float_multipliers,
    float_stem,
    keep_floats,
    pool_means,
)
from lesionlite.export.writers.onnx_pixels import dequantize_pixels, subtract_in_rows
from lesionlite.export.writers.to_onnx import OPSET, _export

SIDE = 8
IMAGE = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)


class Small(nn.Module):
    """Subtracts a mean, and computes a GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.register_buffer("mean", torch.tensor([120.0, 110.0, 100.0])[:, None, None])

    def forward(self, image: Tensor) -> Tensor:
        """uint8 [1, S, S, 3] -> [1, 4, S, S]."""
        pixels = image.permute(0, 3, 1, 2).to(torch.float32) - self.mean
        return nn.functional.gelu(self.conv(pixels / 64))


def small() -> Any:
    torch.manual_seed(0)
    model = _export(Small().eval(), torch.from_numpy(IMAGE))
    dequantize_pixels(model)
    return model


def executed(model: Any, folder: Path, fuse: bool = True) -> tuple[np.ndarray, Counter[str]]:
    """The answer, and how often ONNX Runtime executes each kind of operation."""
    onnx.checker.check_model(model, full_check=True)
    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        levels.ORT_ENABLE_EXTENDED if fuse else levels.ORT_DISABLE_ALL
    )
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (image,) = session.get_inputs()
    answer = session.run(None, {image.name: IMAGE.reshape(image.shape)})[0]
    return answer, Counter(n.op_type for n in onnx.load(folder / "optimized.onnx").graph.node)


def test_the_mean_is_subtracted_from_rows(tmp_path: Path) -> None:
    before = small()
    after = deepcopy(before)
    subtract_in_rows(after)
    kinds = [node.op_type for node in after.graph.node][:5]
    assert kinds == ["DequantizeLinear", "Reshape", "Sub", "Reshape", "Transpose"]
    row = next(one for one in after.graph.initializer if one.name == "mean.row")
    assert numpy_helper.to_array(row).tolist() == [120, 110, 100] * SIDE
    answers = [executed(model, tmp_path, fuse=False)[0] for model in (before, after)]
    np.testing.assert_array_equal(*answers)


def test_a_network_without_a_mean_stays_as_it_is() -> None:
    model = small()
    del model.graph.node[2]
    before = deepcopy(model)
    subtract_in_rows(model)
    assert model == before


def test_onnx_runtime_knows_the_gelus(tmp_path: Path) -> None:
    before = small()
    after = deepcopy(before)
    spell_gelus(after)
    answers = [executed(model, tmp_path, fuse=False)[0] for model in (before, after)]
    np.testing.assert_array_equal(*answers)
    # The exporter's or ONNX Runtime's own doing; `spell_gelus` can go when this line fails.
    assert executed(before, tmp_path)[1]["Erf"] == 1
    answer, kinds = executed(after, tmp_path)
    assert kinds["Gelu"] == 1 and kinds["Erf"] == 0
    np.testing.assert_allclose(answer, answers[0], atol=1e-6)


def test_the_gelus_of_integers_are_one_node(tmp_path: Path) -> None:
    floats = small()
    spell_gelus(floats)
    untouched = deepcopy(floats)
    join_gelus(untouched)
    assert untouched == floats  # of floats, ONNX Runtime knows them by itself
    before = deepcopy(floats)
    erf = next(node for node in before.graph.node if node.op_type == "Erf")
    (div,) = [node for node in before.graph.node if erf.input[0] in node.output]
    argument = div.input[0]
    constants = {"scale": np.array(0.05, np.float32), "middle": np.array(128, np.uint8)}
    for name, value in constants.items():
        before.graph.initializer.append(numpy_helper.from_array(value, name))
    place = list(before.graph.node).index(div)
    for node in before.graph.node[place:]:
        node.input[:] = ["real" if name == argument else name for name in node.input]
    for kind, ends in (
        ("DequantizeLinear", (["integers", "scale", "middle"], ["real"])),
        ("QuantizeLinear", ([argument, "scale", "middle"], ["integers"])),
    ):
        before.graph.node.insert(place, helper.make_node(kind, *ends))
    after = deepcopy(before)
    join_gelus(after)
    assert [node.op_type for node in after.graph.node][-1] == "Gelu"
    answers = [executed(model, tmp_path, fuse=False)[0] for model in (before, after)]
    np.testing.assert_allclose(*answers, atol=1e-6)
    # ONNX Runtime's own doing; `join_gelus` can go when this line fails.
    assert executed(before, tmp_path)[1]["Erf"] == 1
    answer, kinds = executed(after, tmp_path)
    assert kinds["Gelu"] == 1 and kinds["Erf"] == 0
    np.testing.assert_allclose(answer, answers[0], atol=1e-6)


def depthwise(outputs: int) -> Any:
    """An 8-bit depthwise convolution with `outputs` channels for each of four."""
    rng = np.random.default_rng(0)
    constants = {
        "scale": np.array(0.5, np.float32),
        "zero": np.array(3, np.uint8),
        "stored": rng.integers(-127, 128, (4 * outputs, 1, 3, 3), dtype=np.int8),
        "scales": rng.uniform(0.01, 0.02, 4 * outputs).astype(np.float32),
        "zeros": np.zeros(4 * outputs, np.int8),
        "coarse": np.array(4, np.float32),
        "middle": np.array(128, np.uint8),
    }
    graph = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["pixels", "scale", "zero"], ["real"]),
            helper.make_node("DequantizeLinear", ["stored", "scales", "zeros"], ["weight"], axis=0),
            helper.make_node("Conv", ["real", "weight"], ["sums"], group=4, pads=[1, 1, 1, 1]),
            helper.make_node("QuantizeLinear", ["sums", "coarse", "middle"], ["rounded"]),
            helper.make_node("DequantizeLinear", ["rounded", "coarse", "middle"], ["answer"]),
        ],
        "depthwise",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, (1, 4, 6, 8))],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, (1, 4 * outputs, 6, 8))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


@pytest.mark.parametrize(("outputs", "kind"), [(1, "QLinearConv"), (2, "Conv")])
def test_several_channels_for_each_one_are_computed_in_float(
    outputs: int, kind: str, tmp_path: Path
) -> None:
    before = depthwise(outputs)
    after = deepcopy(before)
    float_multipliers(after)
    assert (after == before) == (outputs == 1)
    keep_floats(after)
    integers, kinds = executed(before, tmp_path)
    assert kinds["QLinearConv"] == 1
    floats, kinds = executed(after, tmp_path)
    assert kinds[kind] == 1 and kinds["QLinearConv"] + kinds["Conv"] == 1
    assert np.mean(integers != floats) < 0.01 and np.ptp(integers) > 100


def stem(activation: str) -> Any:
    """Pixels, a convolution in 8 bits, an activation, and the mean of the pixels in 8 bits."""
    rng = np.random.default_rng(0)
    constants = {
        "stored": rng.integers(-127, 128, (16, 3, 3, 3), dtype=np.int8),
        "scales": rng.uniform(0.001, 0.002, 16).astype(np.float32),
        "zeros": np.zeros(16, np.int8),
        "scale": np.array(1 / 32, np.float32),
        "middle": np.array(128, np.uint8),
        "unit": np.array(1 / 64, np.float32),
        "axes": np.array([2, 3]),
    }

    def rounded(name: str) -> list[Any]:
        grid = ["scale", "middle"]
        return [
            helper.make_node("QuantizeLinear", [name, *grid], [f"{name}.stored"]),
            helper.make_node("DequantizeLinear", [f"{name}.stored", *grid], [f"{name}.real"]),
        ]

    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pixels"], ["counts"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["counts", "unit"], ["floats"]),
            *rounded("floats"),
            helper.make_node("DequantizeLinear", ["stored", "scales", "zeros"], ["weight"], axis=0),
            helper.make_node("Conv", ["floats.real", "weight"], ["sums"], pads=[1, 1, 1, 1]),
            *rounded("sums"),
            helper.make_node(activation, ["sums.real"], ["activated"]),
            *rounded("activated"),
            helper.make_node("ReduceMean", ["activated.real", "axes"], ["mean"]),
            *rounded("mean"),
        ],
        "stem",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, (1, 3, 8, 8))],
        [helper.make_tensor_value_info("mean.real", TensorProto.FLOAT, (1, 16, 1, 1))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


@pytest.mark.parametrize(("activation", "floats"), [("HardSwish", 1), ("Relu", 0)])
def test_the_first_convolution_is_in_float_before_a_hard_swish(
    activation: str, floats: int, tmp_path: Path
) -> None:
    before = stem(activation)
    after = deepcopy(before)
    float_stem(after)
    integers, kinds = executed(before, tmp_path)
    assert kinds["QLinearConv"] == 1
    answer, kinds = executed(after, tmp_path)
    assert [kinds["QLinearConv"], kinds["Conv"] + kinds["FusedConv"]] == [1 - floats, floats]
    assert np.abs(answer - integers).max() <= 2 / 32 and np.ptp(integers) > 0.1
    assert (after == before) == (not floats)


def test_a_mean_of_integers_is_one_operation(tmp_path: Path) -> None:
    before = stem("Relu")
    after = deepcopy(before)
    pool_means(after)
    # ONNX Runtime's own doing; `pool_means` can go when this line fails.
    given, kinds = executed(before, tmp_path)
    assert kinds["ReduceMean"] == 1 and kinds["QLinearReduceMean"] == 0
    answer, kinds = executed(after, tmp_path)
    assert kinds["QLinearGlobalAveragePool"] == 1
    assert np.abs(answer - given).max() <= 1 / 32 and np.ptp(given) > 0.1


@pytest.mark.parametrize("change", [{"axes": [1, 2]}, {"keepdims": 0}])
def test_other_means_stay(change: dict[str, Any]) -> None:
    model = stem("Relu")
    if "axes" in change:
        (axes,) = [one for one in model.graph.initializer if one.name == "axes"]
        axes.CopyFrom(numpy_helper.from_array(np.array(change["axes"]), "axes"))
    else:
        (mean,) = [node for node in model.graph.node if node.op_type == "ReduceMean"]
        mean.attribute.append(helper.make_attribute("keepdims", 0))
    before = deepcopy(model)
    pool_means(model)
    assert model == before
