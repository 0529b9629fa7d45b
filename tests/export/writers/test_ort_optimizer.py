"""What ONNX Runtime's optimizer makes of a graph, as it comes and as we spell it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from lesionlite.export.writers.ort_optimizer import keep_activations, keep_floats
from lesionlite.export.writers.to_onnx import open_session


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


SHAPES = {"image": (1, 4, 6, 6), "turned image": (1, 4, 6, 6), "vector": (1, 4, 36)}


def activation_between_integers(kind: str) -> Any:
    """Integers, dequantized, x * f(x), quantized, after a convolution or not."""
    shape = SHAPES[kind]
    constants = {
        "weight": np.random.default_rng(0).normal(size=(4, 4, 1, 1)).astype(np.float32),
        "scale": np.array(0.05, np.float32),
        "zero": np.array(99, np.uint8),
    }
    grid = ["scale", "zero"]
    nodes = [helper.make_node("DequantizeLinear", ["image", *grid], ["x"])]
    if "image" in kind:
        nodes += [
            helper.make_node("Conv", ["x", "weight"], ["made"]),
            helper.make_node("QuantizeLinear", ["made", *grid], ["stored"]),
            helper.make_node("DequantizeLinear", ["stored", *grid], ["y"]),
        ]
    given, made = ("y" if "image" in kind else "x"), shape
    if kind == "turned image":
        nodes.append(helper.make_node("Transpose", ["y"], ["turned"], perm=[0, 2, 3, 1]))
        given, made = "turned", (1, 6, 6, 4)
    nodes += [
        helper.make_node("Sigmoid", [given], ["share"]),
        helper.make_node("Mul", [given, "share"], ["silu"]),
        helper.make_node("QuantizeLinear", ["silu", *grid], ["q"]),
        helper.make_node("DequantizeLinear", ["q", *grid], ["result"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, made)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model)


def optimized(model: Any, path: Path) -> list[str]:
    """The operations that ONNX Runtime executes for a model."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 4
    given = model.SerializeToString()
    onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("kind", SHAPES)
def test_a_silu_of_dequantized_values_is_one_operation(kind: str, tmp_path: Path) -> None:
    plain, kept = activation_between_integers(kind), activation_between_integers(kind)
    keep_activations(kept)
    onnx.checker.check_model(kept, full_check=True)
    # ONNX Runtime's own doing; `keep_activations` can go when this line fails.
    assert "Sigmoid" in optimized(plain, tmp_path / "plain.onnx")
    found = optimized(kept, tmp_path / "kept.onnx")
    assert "QuickGelu" in found and "Sigmoid" not in found
    assert found.count("Transpose") == (0 if kind == "vector" else 1 if "turned" in kind else 2)
    image = np.random.default_rng(1).integers(0, 256, SHAPES[kind], np.uint8)
    answers = [
        open_session(model.SerializeToString(), 1, fuse=False)[0].run(None, {"image": image})[0]
        for model in (plain, kept)
    ]
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("factor", ["another tensor", "one for each channel"])
def test_another_product_is_no_activation(factor: str) -> None:
    model = activation_between_integers("vector")
    if factor == "another tensor":
        model.graph.node[2].input[0] = "other"
        other = helper.make_tensor_value_info("other", TensorProto.FLOAT, (1, 4, 36))
        model.graph.input.append(other)
    else:
        model.graph.node[1].op_type = "Mul"
        model.graph.node[1].input.append("wide")
        wide = numpy_helper.from_array(np.ones((4, 1), np.float32), "wide")
        model.graph.initializer.append(wide)
    before = model.SerializeToString()
    keep_activations(model)
    assert model.SerializeToString() == before
