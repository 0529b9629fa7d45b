"""`lesionlite targets`: every file for every target, and planted faults that are named."""

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from lesionlite.benchmark.targets import (
    hexagon,
    litert_gpu,
    matrix,
    neural_engine,
    onnx_on_hexagon,
    tflite_on_hexagon,
    xnnpack,
)
from lesionlite.benchmark.targets.show import cells, markdown, sentences
from lesionlite.benchmark.targets.table import BY_DEFAULT, TARGETS, find_targets
from lesionlite.benchmark.targets.verdict import Left, Verdict, from_pieces
from lesionlite.cli import main
from lesionlite.errors import LesionliteError
from lesionlite.export.formats import FORMATS
from lesionlite.export.forms.attention import NHWC, Variant
from lesionlite.export.metadata import Metadata
from lesionlite.export.source import Source
from lesionlite.export.writers.tflite_file import operator_names, pack, parse
from lesionlite.export.writers.to_tflite import convert
from lesionlite.train.model import load_run
from lesionlite.verdicts import TARGETS_JSON
from tests.benchmark.elsewhere.test_gpu import needs_gpu


def has_npu() -> bool:
    try:
        hexagon.refuse_no_npu()
    except LesionliteError:
        return False
    return True


needs_npu = pytest.mark.skipif(not has_npu(), reason="no onnxruntime-qnn")


def planted(run: Path, out: Path, variant: Variant, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TFLite file of the run, spelled in another way."""
    monkeypatch.setattr("lesionlite.export.forms.attention.NHWC", variant)
    network, contract = load_run(run)
    convert(Source(network, contract, Metadata()), {"fp32": out})
    return out


@needs_npu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "w8a8"])
def test_a_flagship_takes_tflite_wholly(precision: str, artifacts: Path) -> None:
    verdict = tflite_on_hexagon.judge(artifacts / f"mobilevitv2_050-{precision}.tflite", "sm8650")
    assert (verdict.outcome, verdict.pieces, verdict.left) == ("wholly", 1, ())
    assert verdict.taken == verdict.total > 300


@needs_npu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "w8", "w8a8"])
def test_a_flagship_takes_onnx_wholly(precision: str, artifacts: Path) -> None:
    verdict = onnx_on_hexagon.judge(artifacts / f"mobilevitv2_050-{precision}.onnx", "sm8650")
    assert (verdict.outcome, verdict.pieces, verdict.left) == ("wholly", 1, ())


@needs_npu
def test_an_npu_without_floats_leaves_the_floats(artifacts: Path) -> None:
    verdict = tflite_on_hexagon.judge(artifacts / "mobilevitv2_050-w8a8.tflite", "sm7550")
    assert verdict.outcome == "in pieces" and verdict.pieces > 10
    assert "make w8a8-int files for it" in verdict.sentence()
    assert "blocks.4.transformer.0.attn.norm" in {left.layer for left in verdict.left}
    onnx_file = artifacts / "mobilevitv2_050-fp32.onnx"
    assert onnx_on_hexagon.judge(onnx_file, "sm7550").outcome == "refused"


def plant_casts(artifacts: Path, folder: Path) -> None:
    """Write old.onnx and old.tflite, which cast pixels as earlier versions did."""
    model = onnx.load(artifacts / "mobilevitv2_050-fp32.onnx")
    (node,) = (n for n in model.graph.node if n.op_type == "DequantizeLinear")
    node.op_type = "Cast"
    del node.input[1:]
    node.attribute.append(onnx.helper.make_attribute("to", onnx.TensorProto.FLOAT))
    onnx.save(model, folder / "old.onnx")

    tree = parse((artifacts / "mobilevitv2_050-fp32.tflite").read_bytes())
    code = tree.operatorCodes[operator_names(tree).index("DEQUANTIZE")]
    code.builtinCode = code.deprecatedBuiltinCode = 53  # CAST
    (folder / "old.tflite").write_bytes(pack(tree))


@needs_npu
def test_old_casts_are_named(artifacts: Path, tmp_path: Path) -> None:
    plant_casts(artifacts, tmp_path)
    verdict = onnx_on_hexagon.judge(tmp_path / "old.onnx", "sm8650")
    assert verdict.outcome == "faulty" and verdict.left[0].operation == "Cast"
    verdict = tflite_on_hexagon.judge(tmp_path / "old.tflite", "sm8650")
    assert verdict.outcome == "faulty"
    assert [(left.operation, left.layer) for left in verdict.left] == [("CAST", "network")]


@needs_gpu
@pytest.mark.slow
def test_a_batched_product_is_named(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = planted(run, tmp_path / "old.tflite", Variant(channels_last=True), monkeypatch)
    verdict = litert_gpu.judge(old, "gpu")
    assert verdict.outcome == "refused" and 0 < verdict.taken < verdict.total
    assert {left.operation for left in verdict.left} == {"BATCH_MATMUL"}
    assert "blocks.4.transformer.0.attn" in {left.layer for left in verdict.left}
    assert "Not supported batched mat mul" in verdict.sentence()


@needs_gpu
@pytest.mark.slow
def test_a_transpose_of_rank_5_is_named(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = replace(NHWC, grouping="permute")
    old = planted(run, tmp_path / "old.tflite", variant, monkeypatch)
    verdict = litert_gpu.judge(old, "gpu")
    assert verdict.outcome == "refused"
    assert {left.layer for left in verdict.left if left.operation == "TRANSPOSE"} >= {"blocks.4"}


@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "w8", "w8a8"])
def test_the_gpu_takes_tflite_wholly(precision: str, artifacts: Path) -> None:
    verdict = litert_gpu.judge(artifacts / f"mobilevitv2_050-{precision}.tflite", "gpu")
    assert verdict.outcome == "wholly" and verdict.sentence() == ""


def test_xnnpack_takes_tflite_wholly(artifacts: Path) -> None:
    verdict = xnnpack.judge_tflite(artifacts / "mobilevitv2_050-w8a8.tflite", "xnnpack")
    assert (verdict.outcome, verdict.pieces) == ("wholly", 1)
    verdict = xnnpack.judge_executorch(artifacts / "mobilevitv2_050-fp32.pte", "xnnpack")
    assert (verdict.pieces, verdict.taken, verdict.total) == (1, 1, 2)
    assert verdict.left == (Left("aten::_to_copy"),)


def test_the_neural_engines_rules_warn_but_never_prove(artifacts: Path) -> None:
    warned = neural_engine.judge(artifacts / "mobilevitv2_050-fp32.mlpackage", "neural-engine")
    assert warned.outcome == "warning" and "float16 only" in warned.left[0].why
    fine = neural_engine.judge(artifacts / "mobilevitv2_050-fp16.mlpackage", "neural-engine")
    assert fine.outcome == "unknown" and "only a device can tell" in fine.reason


@needs_npu
@needs_gpu
def test_require_is_a_gate(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(artifacts / "mobilevitv2_050-w8a8.tflite")
    flags = ["--out", str(tmp_path), "--targets", "mediatek", "--json"]
    assert main(["targets", file, *flags, "--require", "gpu,sm8650"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["passed"] and document == json.loads((tmp_path / TARGETS_JSON).read_text())
    assert [one["outcome"] for one in document["verdicts"]] == ["unknown", "wholly", "wholly"]
    assert main(["targets", file, *flags, "--require", "sm7550"]) == 1
    assert main(["targets", file, *flags, "--require", "mediatek"]) == 2
    assert "--require mediatek cannot be told" in capsys.readouterr().err


def test_wrong_choices_are_refused(artifacts: Path, tmp_path: Path) -> None:
    with pytest.raises(LesionliteError, match=r"no target 'gpus' \(did you mean 'gpu'\?\)"):
        find_targets(["gpus"])
    file = artifacts / "mobilevitv2_050-fp32.onnx"
    with pytest.raises(LesionliteError, match="--require gpu: .* holds no file of its kinds"):
        matrix.judge_all(file, (), ("gpu",))
    mine = tmp_path / TARGETS_JSON
    mine.write_text("mine")
    with pytest.raises(LesionliteError, match="targets.json"):
        matrix.write(matrix.Matrix(()), tmp_path)
    assert mine.read_text() == "mine"


def test_a_compiler_that_crashes_refuses(artifacts: Path, tmp_path: Path) -> None:
    crash = {".onnx": "os:abort"}
    row = replace(TARGETS["gpu"], judges=crash)
    out = tmp_path / "verdict.json"
    verdict = matrix._judge(artifacts / "mobilevitv2_050-fp32.onnx", row, out)
    assert verdict.outcome == "refused" and "abort() takes no arguments" in verdict.reason


def test_the_table_names_targets_of_known_kinds() -> None:
    suffixes = {row.suffix for row in FORMATS.values()}
    assert all(set(row.judges) <= suffixes for row in TARGETS.values())
    assert {"sm8650", "sm7550", "sm8350", "gpu", "xnnpack", "neural-engine"} <= set(BY_DEFAULT)


def test_the_matrix_in_words() -> None:
    left = [Left("MEAN", "a.norm"), Left("MEAN", "a.norm"), Left("ADD", "a", "no floats")]
    pieces = from_pieces("m-w8.tflite", "sm7550", 2, 10, left)
    assert (pieces.outcome, pieces.taken) == ("in pieces", 7)
    whole = from_pieces("m-w8.tflite", "gpu", 1, 10, ())
    refused = from_pieces("m-w8.onnx", "sm7550", 0, 1, [Left("Conv")])
    document = matrix.Matrix((pieces, whole, refused), ("gpu",)).document()
    assert document["passed"]
    columns, rows = cells(document)
    assert columns == ["artifact", "sm7550", "gpu"]
    assert rows == [["w8.tflite", "2", "yes"], ["w8.onnx", "no", ""]]
    assert sentences(document)[0] == (
        "sm7550, m-w8.tflite: in pieces: 7 of 10 operations in 2 pieces; MEAN in a.norm; "
        "ADD in a: no floats."
    )
    assert markdown(document)[0] == "| artifact | sm7550 | gpu |"
    failed = matrix.Matrix((pieces, whole), ("gpu", "sm7550"))
    assert [one.target for one in failed.failures] == ["sm7550"]
    assert not failed.document()["passed"]
    assert Verdict("a", "b", "wholly").sentence() == ""
