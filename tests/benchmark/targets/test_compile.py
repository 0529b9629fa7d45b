"""`lesionlite compile`: what ships for an NPU, listed with its hash; what is the user's stays."""

import json
import platform
import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from lesionlite.benchmark.elsewhere.npu import npu_opener, open_on_npu
from lesionlite.benchmark.places import remove_older_artifacts
from lesionlite.benchmark.targets import onnx_on_hexagon, tflite_on_hexagon
from lesionlite.benchmark.targets.compile import COMPILERS, compile_all
from lesionlite.benchmark.targets.table import TARGETS
from lesionlite.cli import main
from lesionlite.errors import LesionliteError
from lesionlite.export.config import ExportConfig
from lesionlite.export.execute.predictor import load
from lesionlite.export.formats import FORMATS, contract_text
from lesionlite.export.manifest import COMPILED, MANIFEST, Manifest, find_compiled
from lesionlite.export.verify import verify
from lesionlite.files import sha256_file
from lesionlite.layout import CONTRACT
from lesionlite.outputs import writing_into
from tests.benchmark.targets.test_targets import needs_npu, plant_casts

SOC = "sm8650"


def some_of(artifacts: Path, folder: Path, *names: str) -> Path:
    """A folder with some of the artifacts, listed as if they alone had been exported."""
    manifest = Manifest.read(artifacts)
    kept = tuple(row for row in manifest.artifacts if row.artifact in names)
    assert len(kept) == len(names)
    with writing_into(folder):
        for name in (*names, CONTRACT):
            shutil.copy(artifacts / name, folder / name)
        bare = replace(manifest, artifacts=kept, calibration_sha256=None, golden_sha256=None)
        bare = replace(bare, artifacts=tuple(replace(row, plan=None) for row in kept))
        bare.write(folder)
    return folder


@needs_npu
def test_what_an_npu_takes_is_written_and_listed(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = "mobilevitv2_050-w8a8.tflite", "mobilevitv2_050-w8a8.onnx"
    folder = some_of(artifacts, tmp_path / "some", *names)
    assert main(["compile", str(folder), "--targets", SOC, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    rows = Manifest.read(folder).compiled
    assert document["refused"] == [] and document["compiled"] == [vars(row) for row in rows]
    assert {(row.artifact, row.target) for row in rows} == {(name, SOC) for name in names}
    assert all("onnxruntime-qnn" in row.compiler for row in rows)
    for row in rows:
        file = folder / COMPILED / row.file
        assert (row.sha256, row.size_bytes) == (sha256_file(file), file.stat().st_size)
        assert contract_text(file) == contract_text(artifacts / row.artifact)
        with pytest.raises(LesionliteError, match=f"compiled for phones with {SOC}; name .*some"):
            load(file)
    (node,) = onnx.load(folder / COMPILED / f"mobilevitv2_050-w8a8-{SOC}.onnx").graph.node
    assert node.op_type == "EPContext"
    assert verify(folder).passed

    compiled = folder / COMPILED / f"mobilevitv2_050-w8a8-{SOC}.tflite"
    before = compiled.read_bytes()
    compile_all(folder / names[0], (SOC, SOC))
    assert compiled.read_bytes() == before and Manifest.read(folder).compiled == rows


@needs_npu
def test_the_emulator_executes_the_compiled_file_and_no_changed_one(
    artifacts: Path, tmp_path: Path
) -> None:
    name = "mobilevitv2_050-w8a8.tflite"
    folder = some_of(artifacts, tmp_path / "some", name)
    artifact = folder / name
    assert npu_opener(artifact, SOC).arguments == {"soc": SOC, "compiled": ""}
    compile_all(folder, (SOC,))
    arguments = npu_opener(artifact, SOC).arguments
    found = find_compiled(artifact, SOC)
    assert found is not None and arguments["compiled"] == found[1].sha256
    assert npu_opener(artifact, "sm8750").arguments["compiled"] == ""
    assert "emulated" in open_on_npu(artifact, 1, **arguments).runtime

    found[0].write_bytes(found[0].read_bytes() + b"planted")
    with pytest.raises(LesionliteError, match="is not the file that was compiled from"):
        open_on_npu(artifact, 1, **arguments)
    (folder / COMPILED / "other.tflite").touch()
    wrong = {check.file: check.status for check in verify(folder).checks if check.status != "ok"}
    assert wrong == {
        f"{COMPILED}/{found[0].name}": "changed",
        f"{COMPILED}/other.tflite": "unlisted",
    }
    shutil.rmtree(folder / COMPILED)
    assert [check.status for check in verify(folder).checks][-1] == "missing"


@needs_npu
def test_what_an_npu_does_not_take_is_not_written(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = "mobilevitv2_050-fp32.onnx", "mobilevitv2_050-fp32.tflite"
    folder = some_of(artifacts, tmp_path / "some", *names)
    assert main(["compile", str(folder), "--targets", "sm7550"]) == 1
    words = capsys.readouterr().out
    assert f"{names[0]}, {names[1]}: this NPU computes no floats; make w8a8-int files" in words
    assert not (folder / COMPILED).exists() and not Manifest.read(folder).compiled
    assert verify(folder).passed


@needs_npu
def test_old_casts_are_not_compiled(artifacts: Path, tmp_path: Path) -> None:
    plant_casts(artifacts, tmp_path)
    with pytest.raises(LesionliteError, match="use DequantizeLinear"):
        onnx_on_hexagon.compile_file(tmp_path / "old.onnx", SOC, tmp_path / "out.onnx")
    with pytest.raises(LesionliteError, match="use DEQUANTIZE"):
        tflite_on_hexagon.compile_file(tmp_path / "old.tflite", SOC, tmp_path / "out.tflite")
    assert not list(tmp_path.glob("out*"))


@needs_npu
def test_files_of_the_user_and_of_earlier_exports(artifacts: Path, tmp_path: Path) -> None:
    name = "mobilevitv2_050-w8a8.tflite"
    folder = some_of(artifacts, tmp_path / "some", name)
    mine = folder / COMPILED / f"mobilevitv2_050-w8a8-{SOC}.tflite"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(LesionliteError, match="lesionlite did not write here"):
        compile_all(folder, (SOC,))
    assert mine.read_text() == "mine" and not Manifest.read(folder).compiled
    mine.unlink()
    compile_all(folder, (SOC,))
    config = ExportConfig(("tflite",), ("fp32",))
    remove_older_artifacts(folder, config)
    assert mine.exists()
    replace(Manifest.read(folder), compiled=()).write(folder)  # as a new export does
    remove_older_artifacts(folder, config)
    assert not mine.parent.exists()


def test_wrong_choices_are_refused(
    artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(
        set(row.compilers) <= {f.suffix for f in FORMATS.values()} for row in TARGETS.values()
    )
    with pytest.raises(LesionliteError, match=r"no target to compile for 'gpu'.*sm8850"):
        compile_all(artifacts, ("gpu",))
    with pytest.raises(LesionliteError, match="name a target to compile for: sm8850"):
        compile_all(artifacts, ())
    with pytest.raises(LesionliteError, match=r"nothing to compile; .*: \.onnx, \.tflite"):
        compile_all(artifacts / "mobilevitv2_050-fp32.ptl", (COMPILERS[0],))
    with pytest.raises(LesionliteError, match="there is no folder"):
        compile_all(tmp_path / "none", (SOC,))
    folder = some_of(artifacts, tmp_path / "some", "mobilevitv2_050-fp32.onnx")
    text = (folder / MANIFEST).read_text()
    row = {"file": "../x", "artifact": "a", "target": SOC, "compiler": "c", "sha256": "0"}
    document = json.loads(text) | {"compiled": [row | {"size_bytes": 1}]}
    (folder / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(LesionliteError, match="is no plain file name"):
        compile_all(folder, (SOC,))
    (folder / MANIFEST).write_text(text)
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(LesionliteError, match="on Linux on x86-64 only"):
        compile_all(folder, (SOC,))
