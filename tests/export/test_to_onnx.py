"""What is particular to `.onnx` files: how pixels become floats."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lesionlite.export.to_onnx import OPSET, dequantize_pixels, open_session


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
