"""Every gate fails on a planted fault: artifacts as a converter with a bug would write them."""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.parity import judge
from lesionlite.benchmark.report.record import Result
from lesionlite.benchmark.run import benchmark
from lesionlite.errors import LesionliteError
from lesionlite.export.formats import read_contract
from lesionlite.export.manifest import MANIFEST
from lesionlite.export.precision import PRECISIONS
from lesionlite.export.verify import verify
from lesionlite.export.writers.tflite_metadata import LABELS
from tests.conftest import relist

Weights = dict[str, np.ndarray]
QUICK = BenchmarkConfig(queries=4, seconds=0.05)
FLOAT, INTEGER = "mobilevitv2_050-fp32.onnx", "mobilevitv2_050-w8a8.onnx"


def blue_first(weights: Weights) -> None:
    weights["stem.conv.weight"] = weights["stem.conv.weight"][:, ::-1]


def mean_off_by_thirty(weights: Weights) -> None:
    weights["stem.conv.bias"] += 30 * weights["stem.conv.weight"].sum((1, 2, 3))


def layer_of_zeros(weights: Weights) -> None:
    weights["blocks.8.conv_proj.weight"] *= 0


def temperature_left_out(weights: Weights) -> None:
    """As if the contract asked for a half: no answer changes."""
    weights["head.weight"] *= 0.5
    weights["head.bias"] *= 0.5


FAULTS = (blue_first, mean_off_by_thirty, layer_of_zeros, temperature_left_out)


def spoil(file: Path, fault: Callable[[Weights], None]) -> None:
    model = onnx.load(file)
    weights = {t.name: numpy_helper.to_array(t).copy() for t in model.graph.initializer}
    fault(weights)
    for tensor in model.graph.initializer:
        array = np.ascontiguousarray(weights[tensor.name])
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(model, file)


def double_a_scale(file: Path) -> None:
    """Of the first weights in 8 bits."""
    nodes = onnx.load(file).graph.node
    scale = next(node.input[1] for node in nodes if node.input[0].endswith(".conv.stored"))
    spoil(file, lambda weights: weights.update({scale: 2 * weights[scale]}))


@pytest.fixture(scope="module")
def rows(
    artifacts: Path, run: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Result]:
    """What the benchmark says of two good files, and of a copy for each fault."""
    folder = tmp_path_factory.mktemp("spoiled")
    manifest = json.loads((artifacts / MANIFEST).read_text())
    listed = {row["artifact"]: row for row in manifest["artifacts"]}
    copies = {FLOAT: FLOAT, INTEGER: INTEGER, "scale.onnx": INTEGER}
    copies |= {f"{fault.__name__}.onnx": FLOAT for fault in FAULTS}
    for name, source in copies.items():
        shutil.copy(artifacts / source, folder / name)
    for fault in FAULTS:
        spoil(folder / f"{fault.__name__}.onnx", fault)
    double_a_scale(folder / "scale.onnx")
    manifest["artifacts"] = [{**listed[of], "artifact": name} for name, of in copies.items()]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    relist(folder)
    return {row.artifact: row for row in benchmark(folder, run, drawn, QUICK).rows}


def test_the_good_file_passes(rows: dict[str, Result]) -> None:
    assert (rows[FLOAT].status, rows[FLOAT].reason) == ("pass", "")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_in_a_graph_fails(
    rows: dict[str, Result], fault: Callable[[Weights], None]
) -> None:
    row = rows[f"{fault.__name__}.onnx"]
    assert row.status == "fail" and row.parity is not None
    assert "probabilities moved" in row.reason
    assert ("answers stayed" in row.reason) == (fault is not temperature_left_out)


def test_a_doubled_scale_fails(rows: dict[str, Result]) -> None:
    """Under gates that the good file of this hardly trained network passes with room."""
    good, bad = rows[INTEGER].parity, rows["scale.onnx"].parity
    assert good is not None and bad is not None
    config = replace(
        QUICK,
        max_f1_loss=max(0.0, -good.delta_weighted_f1) + 0.02,
        min_agreement=good.top1_agreement - 0.02,
        max_mean_dp=1.5 * good.abs_dp["mean"],
    )
    assert judge(good, PRECISIONS["w8a8"], config) == (True, "")
    passes, reason = judge(bad, PRECISIONS["w8a8"], config)
    assert not passes and "probabilities moved" in reason


def shuffle_tflite(file: Path) -> None:
    with zipfile.ZipFile(file, "a") as archive:
        labels = archive.read(LABELS).decode().splitlines()
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(LABELS, "\n".join(labels[::-1]))


def shuffle_coreml(file: Path) -> None:
    from coremltools.proto import Model_pb2

    model = file / "Data" / "com.apple.CoreML" / "model.mlmodel"
    spec = Model_pb2.Model()
    spec.ParseFromString(model.read_bytes())
    main = spec.mlProgram.functions["main"]
    for op in main.block_specializations[main.opset].operations:
        if op.type == "classify":
            classes = op.inputs["classes"].arguments[0].value.immediateValue.list.values
            texts = [value.immediateValue.tensor.strings for value in classes]
            texts[0].values[0], texts[1].values[0] = texts[1].values[0], texts[0].values[0]
    model.write_bytes(spec.SerializeToString())


def rename_executorch(file: Path) -> None:
    """Text of the same length, so that no offset moves; in the contract no zero follows it."""
    whole = file.read_bytes()
    assert whole.count(b"HFMD\0") == 1
    file.write_bytes(whole.replace(b"HFMD\0", b"Mump\0"))


@pytest.mark.parametrize(
    ("suffix", "fault"),
    [(".tflite", shuffle_tflite), (".mlpackage", shuffle_coreml), (".pte", rename_executorch)],
)
def test_other_labels_than_the_contracts_are_refused(
    artifacts: Path, tmp_path: Path, suffix: str, fault: Callable[[Path], None]
) -> None:
    name = f"mobilevitv2_050-fp32{suffix}"
    manifest = json.loads((artifacts / MANIFEST).read_text())
    (tmp_path / "contract.json").write_text((artifacts / "contract.json").read_text())
    copy = shutil.copytree if suffix == ".mlpackage" else shutil.copy
    copy(artifacts / name, tmp_path / name)
    manifest["artifacts"] = [row for row in manifest["artifacts"] if row["artifact"] == name]
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    read_contract(tmp_path / name)
    fault(tmp_path / name)
    relist(tmp_path)
    with pytest.raises(LesionliteError, match="two lists of labels that differ"):
        read_contract(tmp_path / name)
    (check,) = (check for check in verify(tmp_path).checks if check.file == name)
    assert check.status == "contract" and "two lists of labels" in check.reason
