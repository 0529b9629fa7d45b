"""How pixels become numbers in `.tflite` files, and how their tensors are named."""

from pathlib import Path

import numpy as np
import pytest

from lesionlite.export.writers.tflite_file import (
    constant,
    dequantize_pixels,
    layer_of,
    operator_names,
    pack,
    parse,
)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("a.b.MobileForm;1", "network"),
        ("a.MobileForm/a.ConvAct_stem/torch.nn.Conv2d_conv;3", "stem.conv"),
        ("a.MobileForm/torch.Sequential_blocks/a.Bottleneck_0/a.ConvAct_conv1_1x1/b.SiLU_act;",
         "blocks.0.conv1_1x1.act"),
        ("serving_default_output_0_output", "network"),
    ],
)  # fmt: skip
def test_a_tensors_name_gives_its_layer(name: str, layer: str) -> None:
    assert layer_of(name) == layer


@pytest.mark.parametrize("precision", ["fp32", "fp16", "w8", "w8a8"])
def test_no_file_casts_pixels_and_layers_have_names(precision: str, artifacts: Path) -> None:
    content = (artifacts / f"mobilevitv2_050-{precision}.tflite").read_bytes()
    model = parse(content)
    assert "CAST" not in operator_names(model)
    graph = model.subgraphs[0]
    pixels = graph.tensors[graph.inputs[0]]
    assert (pixels.name, list(pixels.quantization.scale)) == (b"image", [1.0])
    assert list(pixels.quantization.zeroPoint) == [0]
    names = [graph.tensors[operator.outputs[0]].name.decode() for operator in graph.operators]
    assert "stem.conv/CONV_2D" in names and "blocks.0.conv1_1x1.conv/CONV_2D" in names
    assert names[-1].startswith("network/")
    assert parse(pack(model)).subgraphs[0].tensors[0].name == graph.tensors[0].name


@pytest.mark.parametrize("precision", ["fp32", "w8", "w8a8"])
def test_names_are_unique(precision: str, artifacts: Path) -> None:
    graph = parse((artifacts / f"mobilevitv2_050-{precision}.tflite").read_bytes()).subgraphs[0]
    names = [tensor.name for tensor in graph.tensors]
    assert len({*names}) == len(names) and b"network/SOFTMAX" in names


def test_a_second_pass_changes_nothing(artifacts: Path) -> None:
    model = parse((artifacts / "mobilevitv2_050-fp32.tflite").read_bytes())
    dequantize_pixels(model)
    once = pack(model)
    dequantize_pixels(model)
    assert pack(model) == once


def test_constants_behind_the_tree_are_read(artifacts: Path) -> None:
    """ai-edge-quantizer puts large buffers behind the tree of objects."""
    model = parse((artifacts / "mobilevitv2_050-w8.tflite").read_bytes())
    graph = model.subgraphs[0]
    weights = [t for t in graph.tensors if t.type == 9 and len(t.shape) == 4]
    assert weights
    values = constant(model, graph.tensors.index(weights[0]), np.int8)
    assert values.size == np.prod(weights[0].shape) and np.abs(values).max() == 127
