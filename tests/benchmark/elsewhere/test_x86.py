"""Emulated x86 processors without VNNI: our file answers alike there, and an old one does not."""

import platform
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lesionlite.benchmark.elsewhere import x86
from lesionlite.benchmark.elsewhere.check import Task
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.predictor import load
from lesionlite.export.writers.to_onnx import OPSET

HERE = (platform.system(), platform.machine()) == ("Linux", "x86_64")
needs_emulator = pytest.mark.skipif(
    not (HERE and shutil.which(x86.EMULATOR)), reason=f"no {x86.EMULATOR}, or not Linux on x86-64"
)
LENGTH = 64


def large_product(path: Path, largest: int) -> None:
    """A file whose answers to white pixels are 1: a product of the largest 8-bit factors."""
    stored = {
        "scale": np.float32(1 / 255),
        "zero": np.uint8(0),
        "weight": np.full((LENGTH, 4), largest, np.int8),
        "weight.scale": np.float32(1 / largest / LENGTH),
        "weight.zero": np.int8(0),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["image", "scale", "zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["weight", "weight.scale", "weight.zero"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("QuantizeLinear", ["y", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["answer"]),
    ]
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, (1, LENGTH))],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, (1, 4))],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)


@needs_emulator
@pytest.mark.slow
@pytest.mark.parametrize(("largest", "status"), [(127, "fail"), (64, "pass")])
def test_a_file_that_saturates_fails(largest: int, status: str, tmp_path: Path) -> None:
    path = tmp_path / "m-w8a8.onnx"
    large_product(path, largest)
    images, expected = np.full((2, LENGTH), 255, np.uint8), np.ones((2, 4), np.float32)
    task = Task(path, "w8a8", expected)
    (row,) = x86.run_on_x86("haswell", [task], images, np.zeros(2, np.int64), 4)
    assert row.status == status and row.max_abs_dp is not None, row
    assert (row.max_abs_dp < 1e-3) == (status == "pass")


@needs_emulator
def test_our_file_answers_alike(artifacts: Path, images: np.ndarray) -> None:
    path = artifacts / "mobilevitv2_050-w8a8.onnx"
    here = load(path).predict(images[:2])
    truth = np.zeros(2, np.int64)
    (row,) = x86.run_on_x86("haswell", [Task(path, "w8a8", here)], images[:2], truth, here.shape[1])
    assert row.status == "pass" and row.max_abs_dp is not None and row.max_abs_dp < 1e-4


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LesionliteError, match=r"no x86 processor 'haswel'.*haswell, skylake"):
        x86.refuse_no_x86("haswel")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(LesionliteError, match="install qemu-user-static"):
        x86.refuse_no_x86("haswell")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(LesionliteError, match="this machine has Linux arm64"):
        x86.refuse_no_x86("haswell")
