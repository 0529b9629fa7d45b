"""The manifest and `lesionlite verify`: every planted difference is found and named."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lesionlite
from lesionlite import cli
from lesionlite.benchmark.candidate import OURS
from lesionlite.benchmark.elsewhere.runtimes import open_other
from lesionlite.benchmark.protocol import Open
from lesionlite.benchmark.worker import open_twice
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.predictor import load, open_unchecked
from lesionlite.export.execute.tensors import open_tensors
from lesionlite.export.manifest import (
    CALIBRATION,
    GOLDEN,
    MANIFEST,
    Manifest,
    find_row,
    missing_manifest_warning,
    read_manifest,
)
from lesionlite.export.quantize.plan import PLAN
from lesionlite.export.toolchains import TOOLCHAINS
from lesionlite.export.verify import verify
from lesionlite.files import sha256_file, size_bytes
from lesionlite.layout import CONTRACT, WEIGHTS
from tests.conftest import relist

ONNX, PACKAGE = "mobilevitv2_050-fp32.onnx", "mobilevitv2_050-fp32.mlpackage"
UNFUSED = "ONNX Runtime, nothing fused"


@pytest.fixture
def copied(artifacts: Path, tmp_path: Path) -> Path:
    """Two artifacts and their company, which a test may spoil."""
    folder = tmp_path / "copied"
    folder.mkdir()
    document = json.loads((artifacts / MANIFEST).read_text())
    document["artifacts"] = [r for r in document["artifacts"] if r["artifact"] in (ONNX, PACKAGE)]
    (folder / MANIFEST).write_text(json.dumps(document))
    for name in (ONNX, CONTRACT, CALIBRATION):
        shutil.copy(artifacts / name, folder)
    for name in (PACKAGE, GOLDEN):
        shutil.copytree(artifacts / name, folder / name)
    return folder


def wrong(folder: Path) -> dict[str, str]:
    return {check.file: check.status for check in verify(folder).checks if check.status != "ok"}


def test_the_manifest_says_what_was_made_from_what(artifacts: Path, run: Path) -> None:
    manifest = Manifest.read(artifacts)
    assert manifest.checkpoint_sha256 == hashlib.sha256((run / WEIGHTS).read_bytes()).hexdigest()
    for name, recorded in (
        (CONTRACT, manifest.contract_sha256),
        (CALIBRATION, manifest.calibration_sha256),
    ):
        assert recorded == hashlib.sha256((artifacts / name).read_bytes()).hexdigest()
    assert manifest.calibration_images == 14
    assert tuple(manifest.toolchains) == TOOLCHAINS and manifest.toolchains["torch"]
    for row in manifest.artifacts:
        assert row.sha256 == sha256_file(artifacts / row.artifact)
        assert row.plan == (sha256_file(artifacts / PLAN) if row.precision == "w8a8" else None)
        assert row.size_bytes == size_bytes(artifacts / row.artifact)
    assert (artifacts / ONNX).stat().st_size == find_row(artifacts / ONNX).size_bytes  # type: ignore[union-attr]


def test_without_calibration_there_is_no_list(run: Path, tmp_path: Path) -> None:
    config = lesionlite.ExportConfig(formats=("torchscript",), precisions=("fp32",))
    lesionlite.export(run, tmp_path, config)
    manifest = Manifest.read(tmp_path)
    assert manifest.calibration_sha256 is None and manifest.calibration_images == 0
    assert lesionlite.verify(tmp_path).passed
    (tmp_path / CALIBRATION).write_text("train/a/0.png\n")
    assert wrong(tmp_path) == {CALIBRATION: "unlisted"}


def test_all_is_well_right_after_an_export(artifacts: Path) -> None:
    result = verify(artifacts)
    assert result.passed and len(result.checks) == len(read_manifest(artifacts)) + 4
    assert all(check.line() == f"{check.file}: ok" for check in result.checks)


def flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / ONNX).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / ONNX).write_bytes(data)


def spoil_the_package(folder: Path) -> None:
    (folder / PACKAGE / "more.txt").touch()


def swap_the_labels(folder: Path) -> None:
    """An artifact of other labels, listed with its own hash: only its contract gives it away."""
    import onnx

    contract = Contract.read(folder / CONTRACT)
    other = replace(contract, labels=contract.labels[::-1])
    model = onnx.load(folder / ONNX)
    onnx.helper.set_model_props(model, {"lesionlite.contract": other.to_json()})
    onnx.save(model, folder / ONNX)
    relist(folder)


def no_contract(folder: Path) -> None:
    import onnx

    model = onnx.load(folder / ONNX)
    del model.metadata_props[:]
    onnx.save(model, folder / ONNX)
    relist(folder)


def a_plan_that_is_not_there(folder: Path) -> None:
    document = json.loads((folder / MANIFEST).read_text())
    document["artifacts"][0]["plan"] = hashlib.sha256(b"a plan").hexdigest()
    (folder / MANIFEST).write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (lambda folder: (folder / ONNX).unlink(), {ONNX: "missing"}),
        (lambda folder: shutil.rmtree(folder / PACKAGE), {PACKAGE: "missing"}),
        (flip_a_byte, {ONNX: "changed"}),
        (spoil_the_package, {PACKAGE: "changed"}),
        (swap_the_labels, {ONNX: "contract"}),
        (no_contract, {ONNX: "contract"}),
        (lambda folder: (folder / CONTRACT).write_text("{}"), {CONTRACT: "changed"}),
        (lambda folder: (folder / CONTRACT).unlink(), {CONTRACT: "missing"}),
        (lambda folder: (folder / CALIBRATION).write_text("x\n"), {CALIBRATION: "changed"}),
        (lambda folder: (folder / CALIBRATION).unlink(), {CALIBRATION: "missing"}),
        (lambda folder: (folder / "old.tflite").touch(), {"old.tflite": "unlisted"}),
        (a_plan_that_is_not_there, {"quantization plan": "missing"}),
    ],
)
def test_a_planted_difference_is_found(
    fault: Callable[[Path], object], found: dict[str, str], copied: Path
) -> None:
    assert wrong(copied) == {}
    fault(copied)
    assert wrong(copied) == found
    (check,) = [check for check in verify(copied).checks if check.status != "ok"]
    assert "export again" in check.line() or "copy it back" in check.line()


def test_a_plan_is_known_by_its_hash(copied: Path) -> None:
    a_plan_that_is_not_there(copied)
    (copied / "any-name.json").write_bytes(b"a plan")
    (copied / "report.json").touch()  # `lesionlite benchmark` writes it there
    (copied / ".DS_Store").touch()
    assert wrong(copied) == {}


def test_the_command_says_it_and_sets_the_exit_code(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["verify", str(copied)]) == 0
    assert "all is as the manifest says" in capsys.readouterr().out
    flip_a_byte(copied)
    assert cli.main(["verify", str(copied), "--json"]) == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["passed"] is False and "1 of 5 differ" in captured.err
    assert {row["file"]: row["status"] for row in document["checks"]}[ONNX] == "changed"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "nothing was exported"),
        ("", "manifest.json is damaged: it is no JSON document (it is empty)"),
        ("{", "manifest.json is damaged: it is no JSON document"),
        ("[1]", "it is a list of 1; expected an object"),
        ("{}", "model is missing; expected text"),
        ('{"artifacts": [{"artifact": "x"}]}', "model is missing; expected text"),
    ],
)
def test_no_manifest_is_a_sentence(
    text: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / MANIFEST).write_text(text)
    for folder, expected in ((tmp_path, words), (tmp_path / "nowhere", "there is no folder")):
        assert cli.main(["verify", str(folder)]) == 2
        assert expected in " ".join(capsys.readouterr().err.split())


def test_load_refuses_a_changed_file_and_takes_one_that_nothing_lists(
    copied: Path, tmp_path: Path
) -> None:
    assert load(copied / ONNX).contract.labels
    with_other_props(copied / ONNX)
    with pytest.raises(LesionliteError, match="is not the file that .*`lesionlite verify"):
        load(copied / ONNX)
    alone = tmp_path / "app"
    alone.mkdir()
    shutil.copy(copied / ONNX, alone)
    assert load(alone / ONNX).contract.labels
    (alone / MANIFEST).write_text('{"name": "a web app", "icons": []}')
    assert load(alone / ONNX).contract.labels
    assert (
        "Nothing vouches for" in missing_manifest_warning(alone / ONNX)
        and not load(alone / ONNX).is_listed
    )
    assert missing_manifest_warning(copied / ONNX) == ""


def cut(folder: Path) -> None:
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text[: len(text) // 2])


def with_rows(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Change the manifest's row of the ONNX file."""

    def fault(folder: Path) -> None:
        document = json.loads((folder / MANIFEST).read_text())
        (row,) = [row for row in document["artifacts"] if row["artifact"] == ONNX]
        change(row)
        (folder / MANIFEST).write_text(json.dumps(document))

    return fault


def rows_are(rows: object) -> Callable[[Path], None]:
    def fault(folder: Path) -> None:
        document = json.loads((folder / MANIFEST).read_text())
        (folder / MANIFEST).write_text(json.dumps({**document, "artifacts": rows}))

    return fault


def pipe(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    os.mkfifo(folder / MANIFEST)


def broken_link(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).symlink_to(folder / "gone")


def listed_twice(folder: Path) -> None:
    document = json.loads((folder / MANIFEST).read_text())
    document["artifacts"] += document["artifacts"]
    (folder / MANIFEST).write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (cut, "is damaged: it is no JSON"),
        (lambda folder: (folder / MANIFEST).write_bytes(b""), "it is empty"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"\xff\xfe"), "not text in UTF-8"),
        (lambda folder: (folder / MANIFEST).write_text("null"), "it is null; expected an object"),
        (lambda folder: (folder / MANIFEST).write_text("{}"), "model is missing"),
        (pipe, "no regular file"),
        (broken_link, "is a broken link"),
        (with_rows(lambda row: row.pop("sha256")), r"artifacts\[0\].sha256 is missing"),
        (with_rows(lambda row: row.update(size_bytes="1")), "size_bytes is .*a whole number"),
        (with_rows(lambda row: row.update(sha256=None)), "sha256 is null; expected text"),
        (with_rows(lambda row: row.update(artifact="../outside.onnx")), "no plain file name"),
        (with_rows(lambda row: row.update(artifact="/tmp/outside.onnx")), "no plain file name"),
        (with_rows(lambda row: row.update(artifact="other.onnx")), "does not list"),
        (rows_are([]), "does not list"),
        (rows_are("none"), 'artifacts is "none"; expected a list'),
        (rows_are([1]), r"artifacts\[0\] is 1; expected an object"),
        (listed_twice, "twice"),
    ],
)
def test_a_changed_file_does_not_pass_beside_a_damaged_manifest(
    fault: Callable[[Path], object], words: str, copied: Path
) -> None:
    flip_a_byte(copied)
    fault(copied)
    openers: tuple[Callable[[Path], object], ...] = (
        load,
        lambda path: open_tensors(path, path),
        lambda path: open_other(UNFUSED, path, 1),
        read_manifest,
    )
    for opener in openers:
        with pytest.raises(LesionliteError, match=words if opener != read_manifest else "."):
            opener(copied / ONNX)


@pytest.mark.parametrize("name", [ONNX, "other-name.onnx"])
def test_a_changed_file_does_not_pass_through_a_link(
    name: str, copied: Path, tmp_path: Path
) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / name
    link.symlink_to(copied / ONNX)
    again = tmp_path / "again.onnx"
    again.symlink_to(Path("links") / name)  # relative, and a link to a link
    folder = tmp_path / "folder"
    folder.symlink_to(copied)
    for path in (link, again, folder / ONNX):
        assert load(path).is_listed
    flip_a_byte(copied)
    for path in (link, again, folder / ONNX):
        with pytest.raises(LesionliteError, match="is not the file that"):
            load(path)
        with pytest.raises(LesionliteError, match="is not the file that"):
            open_tensors(path, path)


def test_a_manifest_beside_the_link_counts_too(copied: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(copied, tmp_path / "other"))
    with_other_props(other / ONNX)
    (copied / ONNX).unlink()
    (copied / ONNX).symlink_to(other / ONNX)
    (other / MANIFEST).unlink()
    with pytest.raises(LesionliteError, match="is not the file that"):
        load(copied / ONNX)


def test_a_link_in_a_package_is_a_change(copied: Path, tmp_path: Path) -> None:
    (copied / PACKAGE / "more").symlink_to(tmp_path)
    with pytest.raises(LesionliteError, match="is not the file that"):
        load(copied / PACKAGE)


def test_a_lone_archive_has_checksums_of_its_own(artifacts: Path, tmp_path: Path) -> None:
    name = "mobilevitv2_050-fp32.ptl"
    shutil.copy(artifacts / name, tmp_path)
    assert load(tmp_path / name).contract.labels
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(LesionliteError, match="does not have its checksum|is damaged"):
        load(tmp_path / name)


def with_other_props(file: Path) -> None:
    import onnx

    model = onnx.load(file)
    model.doc_string = "other"
    onnx.save(model, file)


def test_the_timed_load_does_not_hash(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lesionlite.benchmark import worker

    hashed: list[Path] = []
    monkeypatch.setattr(worker, "refuse_changed", hashed.append)
    monkeypatch.setattr("lesionlite.export.execute.predictor.refuse_changed", hashed.append)
    timed: list[int] = []

    def timed_open(path: Path, threads: int) -> object:
        timed.append(len(hashed))
        predictor = open_unchecked(path, threads)
        timed.append(len(hashed))
        return predictor

    monkeypatch.setattr("lesionlite.export.execute.predictor.open_unchecked", timed_open)
    open_twice(Open(copied / ONNX, 1, OURS))
    assert hashed == [copied / ONNX] and timed == [1, 1, 1, 1]
