import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lesionlite import cli
from lesionlite.benchmark.layers import onnx as onnx_layers
from lesionlite.benchmark.layers import tflite as tflite_layers
from lesionlite.benchmark.layers.cost import Cost, by_layer, by_operation
from lesionlite.benchmark.peers.limit import network_multiply_adds
from lesionlite.export.writers.tflite_file import parse
from lesionlite.export.writers.to_tflite import open_interpreter
from lesionlite.train.model import load_run

SIDE = 64


def test_costs_are_added_up() -> None:
    costs = [Cost("CONV", "a", 1, 6000), Cost("MUL", "a", 0.5), Cost("CONV", "b", 2, 6000)]
    conv, mul = by_operation(costs)
    assert (conv.name, conv.operations, conv.milliseconds, conv.rate) == ("CONV", 2, 3, 4e6)
    assert (mul.name, mul.rate) == ("MUL", None)
    assert [(row.name, row.kinds) for row in by_layer(costs)] == [
        ("b", ("CONV",)),
        ("a", ("CONV", "MUL")),
    ]


def _answer(content: bytes, values: dict[str, Any]) -> dict[str, Any]:
    """What a file computes, with tensors by their names."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for given in interpreter.get_input_details():
        interpreter.set_tensor(given["index"], values[given["name"]])
    interpreter.invoke()
    return {
        one["name"]: interpreter.get_tensor(one["index"])
        for one in interpreter.get_output_details()
    }


@pytest.mark.parametrize("precision", ["fp32", "fp16", "w8a8"])
def test_the_operations_one_after_the_other_are_the_file(artifacts: Path, precision: str) -> None:
    path = artifacts / f"mobilevitv2_050-{precision}.tflite"
    image = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3)).astype(np.uint8)
    model = parse(path.read_bytes())
    units = tflite_layers._units(model)
    assert sum(len(unit) for unit in units) >= len(model.subgraphs[0].operators)
    values = {"image": image}
    for unit in units:
        values |= _answer(tflite_layers._file_of(model, unit), values)
    interpreter, _ = open_interpreter(path, 1)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    (result,) = interpreter.get_output_details()
    assert np.abs(values[result["name"]] - interpreter.get_tensor(result["index"])).max() < 1e-5


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "w8", "w8a8"])
def test_every_layer_is_timed_and_every_product_counted(
    artifacts: Path, run: Path, precision: str, suffix: str
) -> None:
    module = {"tflite": tflite_layers, "onnx": onnx_layers}[suffix]
    found = module.costs(artifacts / f"mobilevitv2_050-{precision}.{suffix}", 1)
    assert all(cost.milliseconds > 0 for cost in found)
    layers = {cost.layer for cost in found}
    assert {"stem.conv", "blocks.4.transformer.0.attn.key", "head"} <= layers
    products = sum(c.multiply_adds for c in found if c.operation != "MatMul")
    # litert-torch spells queries of one pixel as a product and a sum of elements. In ONNX files a
    # MatMul is of two activations, which is no layer.
    assert 0.9999 < products / network_multiply_adds(*load_run(run)) <= 1


def test_the_command_names_the_slowest_layers(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = artifacts / "mobilevitv2_050-fp32.tflite"
    assert cli.main(["layers", str(path), "--most", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["by_operation"][0]["name"] == "CONV_2D"
    assert 0 < document["whole_ms"] < 1000
    assert set(document["fastest_product_multiply_adds_per_second"]) == {"fp32", "int8"}
    assert cli.main(["layers", str(artifacts / "mobilevitv2_050-fp32.ptl")]) == 2
    assert "give a file of: tflite, onnx" in capsys.readouterr().err
    cut = Path(shutil.copy(path, tmp_path))
    cut.write_bytes(path.read_bytes()[:3000])
    assert cli.main(["layers", str(cut)]) == 2
    assert "cannot be executed" in capsys.readouterr().err
