"""An app's folder: the template, and artifacts with what they need, or nothing at all."""

import json
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lesionlite
import lesionlite.mobile_app_stub.apps as apps_module
import lesionlite.mobile_app_stub.embed as embed_module
from lesionlite import cli
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.golden import add_golden
from lesionlite.export.manifest import GOLDEN, Manifest
from lesionlite.export.verify import verify
from lesionlite.files import sha256_file
from lesionlite.mobile_app_stub.embed import embed
from lesionlite.mobile_app_stub.identity import NO_IDENTITY, Identity
from lesionlite.mobile_app_stub.provenance import PROVENANCE
from tests.mobile_app_stub.conftest import Embed


@pytest.mark.parametrize("name", apps_module.APPS)
def test_the_apps_that_there_are(name: str, folder: Path, tmp_path: Path) -> None:
    report(folder)
    row = apps_module.APPS[name]
    own = Identity("org.clinic.skin") if "id" in row.identity.spots else NO_IDENTITY
    made = embed(folder, name, tmp_path / "app", identity=own)
    again = lesionlite.embed(folder, name, tmp_path / "again", identity=own)
    assert made.remarks == again.remarks == ()
    assert [one.precision for one in made.artifacts] == [row.precisions[0]] * len(row.formats)
    model = tmp_path / "app" / row.assets
    assert {path.name for path in model.iterdir()} == {
        *(one.artifact for one in made.artifacts),
        "contract.json",
        "golden",
        PROVENANCE,
    }
    assert (tmp_path / "app" / "README.md").is_file() and "{out}" in row.next
    built = [path for path in (tmp_path / "app").rglob("*") if path.name in embed_module.BUILT]
    assert built == []


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "app")
    command = ["embed", str(folder), "--app", "ios", "--out", out, "--id", "org.clinic.skin"]
    assert cli.main([*command, "--precision", "fp32", "--json"]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["out"] == out and document["artifacts"][0].endswith("-fp32.mlpackage")
    assert f"next: open {out}/LesionLite.swiftpm in Xcode" in said.err
    assert cli.main(command) == 2
    assert "already exists" in capsys.readouterr().err
    assert cli.main(["embed", str(folder), "--app", "windows", "--out", out + "2"]) == 2
    assert "choose from: web, android, ios" in capsys.readouterr().err
    assert cli.main(["embed", out, "--app", "web", "--out", out + "2"]) == 2
    assert "nothing was exported" in capsys.readouterr().err
    assert not Path(out + "2").exists()


def report(folder: Path, **statuses: str) -> None:
    """A report in which every artifact passed but the ones of these precisions."""
    rows = [
        {
            "artifact": row.artifact,
            "status": statuses.get(row.precision, "pass"),
            "size_bytes": row.size_bytes,
        }
        for row in Manifest.read(folder).artifacts
    ]
    (folder / "report.json").write_text(json.dumps({"rows": rows}))


def test_an_app_holds_template_artifacts_contract_and_golden_vectors(
    fill: Embed, folder: Path, tmp_path: Path
) -> None:
    report(folder)
    made = fill()
    assert not made.remarks
    app, model = tmp_path / "app", tmp_path / "app" / "model"
    names = [row.artifact for row in made.artifacts]
    assert sorted(path.name for path in app.iterdir()) == ["cases.json", "main", "model"]
    assert sorted(path.name for path in model.iterdir()) == sorted(
        [*names, "contract.json", "golden", PROVENANCE]
    )
    assert [name.rsplit("-", 1)[1] for name in names] == ["fp16.tflite", "fp16.onnx"]
    golden = json.loads((model / GOLDEN / "golden.json").read_text())
    assert list(golden["artifacts"]) == names
    assert golden["labels"] == list(Contract.read(model / "contract.json").labels)
    for image in golden["images"]:
        assert (model / GOLDEN / image).read_bytes() == (folder / GOLDEN / image).read_bytes()
    for name in names:
        assert (model / name).read_bytes() == (folder / name).read_bytes()


def test_an_app_tells_where_its_model_comes_from(fill: Embed, folder: Path, tmp_path: Path) -> None:
    fill(precision="fp32")
    path = tmp_path / "app" / "model" / PROVENANCE
    told, manifest = json.loads(path.read_text()), Manifest.read(folder)
    assert told["lesionlite"] == version("lesionlite")
    assert told["checkpoint_sha256"] == manifest.checkpoint_sha256
    assert told["contract_sha256"] == sha256_file(path.parent / "contract.json")
    for row in told["artifacts"]:
        assert row["sha256"] == sha256_file(path.parent / row["artifact"])
    fill(precision="fp16", model_only=True)
    assert {row["precision"] for row in json.loads(path.read_text())["artifacts"]} == {"fp16"}


def test_the_same_twice(fill: Embed, folder: Path, tmp_path: Path) -> None:
    report(folder)

    def files(app: Path) -> dict[str, bytes]:
        return {str(f.relative_to(app)): f.read_bytes() for f in app.rglob("*") if f.is_file()}

    fill(out=tmp_path / "one")
    fill(out=tmp_path / "two")
    fill(out=tmp_path / "two", model_only=True)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_package_is_placed_whole(fill: Embed, tmp_path: Path) -> None:
    (row,) = fill("apple", precision="fp32").artifacts
    assert (tmp_path / "app" / "App" / "Resources" / row.artifact / "Manifest.json").is_file()


def test_without_a_report_only_what_is_named_is_taken(fill: Embed, tmp_path: Path) -> None:
    with pytest.raises(LesionliteError, match="no report.*`lesionlite benchmark .*--precision"):
        fill()
    assert not (tmp_path / "app").exists()
    remarks = fill(precision="fp32").remarks
    assert ["no report says" in remark for remark in remarks] == [True, True]


def test_what_is_not_verified_is_taken_by_name_alone(fill: Embed, folder: Path) -> None:
    report(folder, fp16="unverified", fp32="unverified")
    with pytest.raises(LesionliteError, match="fp16.tflite: unverified"):
        fill()
    assert ["is unverified" in remark for remark in fill(precision="fp16").remarks] == [True, True]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "report.json is damaged"),
        ("[]", "expected an object"),
        ('{"rows": [1]}', r"rows\[0\] is 1; expected an object"),
        ('{"rows": [{"artifact": "x", "size_bytes": 1}]}', r"rows\[0\].status is missing"),
        ('{"rows": [{"artifact": "x", "size_bytes": 1, "status": "ok"}]}', "one of: pass, fail"),
    ],
)
def test_a_report_of_another_shape_is_a_sentence(
    text: str, words: str, fill: Embed, folder: Path
) -> None:
    (folder / "report.json").write_text(text)
    with pytest.raises(LesionliteError, match=words):
        fill()


def test_answers_that_are_not_finite_are_not_embedded_even_by_name(
    fill: Embed, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lesionlite.export.writers import to_onnx

    def broken(path: Path, threads: int) -> to_onnx.Runner:
        return to_onnx.Runner(lambda image: np.full(14, np.nan, np.float32), "none")

    monkeypatch.setattr(to_onnx, "load", broken)
    manifest = Manifest.read(folder)
    few = [row for row in manifest.artifacts if row.artifact.endswith(("fp32.tflite", "fp32.onnx"))]
    replace(manifest, artifacts=tuple(few)).write(folder)
    add_golden(folder)
    document = json.loads((folder / GOLDEN / "golden.json").read_text(), parse_constant=pytest.fail)
    assert "not finite" in document["artifacts"]["mobilevitv2_050-fp32.onnx"]["reason"]
    report(folder)
    with pytest.raises(LesionliteError, match="fp32.onnx has no golden vectors .*not finite"):
        fill(precision="fp32")
    assert not (tmp_path / "app").exists()


def test_a_report_of_other_files_counts_as_none(fill: Embed, folder: Path) -> None:
    report(folder)
    document = json.loads((folder / "report.json").read_text())
    for row in document["rows"]:
        row["size_bytes"] += 1
    (folder / "report.json").write_text(json.dumps(document))
    with pytest.raises(LesionliteError, match="no report"):
        fill()


def test_what_failed_is_passed_over_aloud(fill: Embed, folder: Path) -> None:
    report(folder, fp16="fail")
    made = fill()
    assert [row.precision for row in made.artifacts] == ["fp32", "fp32"]
    assert all("fp16 is preferred" in remark for remark in made.remarks)


def test_what_failed_is_refused_by_name(fill: Embed, folder: Path, tmp_path: Path) -> None:
    report(folder, fp16="fail")
    with pytest.raises(LesionliteError, match="fp16.tflite did not pass the benchmark"):
        fill(precision="fp16")
    assert not (tmp_path / "app").exists()


def test_nothing_that_passed(fill: Embed, folder: Path) -> None:
    report(folder, fp16="fail", fp32="fail")
    with pytest.raises(
        LesionliteError, match="no tflite artifact that passed the benchmark .*fp32.tflite: fail"
    ):
        fill()


def test_wrong_choices_list_the_right_ones(fill: Embed) -> None:
    with pytest.raises(LesionliteError, match="page, apple"):
        fill("windows")
    with pytest.raises(LesionliteError, match="'w4'; choose from: .*fp32"):
        fill(precision="w4")


def test_a_changed_artifact_is_refused(fill: Embed, folder: Path, tmp_path: Path) -> None:
    report(folder)
    (path,) = folder.glob("*-fp16.onnx")
    path.write_bytes(path.read_bytes()[:-1] + b"0")
    with pytest.raises(LesionliteError, match="is not the file that"):
        fill()
    assert not (tmp_path / "app").exists()


def test_changed_or_missing_golden_vectors_are_refused(fill: Embed, folder: Path) -> None:
    report(folder)
    (folder / GOLDEN / "0.png").write_bytes(b"")
    with pytest.raises(LesionliteError, match="golden vectors .* not the ones"):
        fill()
    add_golden(folder)
    fill()
    shutil.rmtree(folder / GOLDEN)
    with pytest.raises(LesionliteError, match="golden vectors .* are missing"):
        fill(model_only=True)


@pytest.mark.parametrize("value", ["../../main", "/etc/passwd", "..", "a/b", "a\\b", "", "a\0"])
def test_golden_vectors_name_plain_files_alone(
    value: str, fill: Embed, folder: Path, tmp_path: Path
) -> None:
    file = folder / GOLDEN / "golden.json"
    document = json.loads(file.read_text())
    document["images"][1] = value
    file.write_text(json.dumps(document))
    relist_golden(folder)
    with pytest.raises(LesionliteError, match="no plain file name"):
        fill(precision="fp32")
    assert not (tmp_path / "app").exists()
    assert [c.file for c in verify(folder).checks if c.status != "ok"] == [GOLDEN]


def relist_golden(folder: Path) -> None:
    """Let the manifest list the golden vectors as they are now."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["golden_sha256"] = sha256_file(folder / GOLDEN)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": 1}, "images is 1; expected a list"),
        ({"images": ["0.png", "0.png"]}, "names a file twice"),
        ({"artifacts": []}, "artifacts is a list of 0; expected an object"),
        ({"labels": ["a"]}, "does not hold 1 numbers"),
    ],
)
def test_golden_vectors_of_another_shape_are_a_sentence(
    change: dict[str, Any], words: str, fill: Embed, folder: Path
) -> None:
    file = folder / GOLDEN / "golden.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    relist_golden(folder)
    with pytest.raises(LesionliteError, match=words):
        fill(precision="fp32")


def test_an_app_does_not_lie_in_its_artifacts(fill: Embed, folder: Path) -> None:
    with pytest.raises(LesionliteError, match="lies in .* choose another --out"):
        fill(out=folder / "app", precision="fp32")
