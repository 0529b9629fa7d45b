"""An app's folder: the template, and artifacts with what they need, or nothing at all."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import export.embed as embed_module
import lesionlite
from benchmark.golden import add_golden
from export.embed import App, Embedded, embed
from export.manifest import GOLDEN, Manifest
from train.contract import Contract
from train.errors import LesionliteError

APPS = {
    "page": App(("tflite", "onnx"), ("fp16", "fp32"), "model", ""),
    "apple": App(("coreml",), ("fp32",), "App/Resources", ""),
}
Embed = Callable[..., Embedded]


@pytest.fixture
def folder(artifacts: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(artifacts, tmp_path / "artifacts"))


@pytest.fixture
def fill(folder: Path, tmp_path: Path) -> Embed:
    for name in APPS:
        (tmp_path / "templates" / name / "node_modules").mkdir(parents=True)
        (tmp_path / "templates" / name / "main").write_text(name)
    (tmp_path / "templates" / "cases.json").write_text("{}")

    def fill(name: str = "page", **settings: Any) -> Embedded:
        out = settings.pop("out", tmp_path / "app")
        templates = tmp_path / "templates"
        return embed(folder, name, out, apps=APPS, templates=templates, **settings)

    return fill


@pytest.mark.parametrize("name", embed_module.APPS)
def test_the_apps_that_there_are(name: str, folder: Path, tmp_path: Path) -> None:
    report(folder)
    made = embed(folder, name, tmp_path / "app")
    row = embed_module.APPS[name]
    assert made.remarks == lesionlite.embed(folder, name, tmp_path / "again").remarks == ()
    assert [one.precision for one in made.artifacts] == [row.precisions[0]] * len(row.formats)
    model = tmp_path / "app" / row.assets
    assert {path.name for path in model.iterdir()} == {
        *(one.artifact for one in made.artifacts),
        "contract.json",
        "golden",
    }
    assert (tmp_path / "app" / "README.md").is_file() and "{out}" in row.next
    built = [path for path in (tmp_path / "app").rglob("*") if path.name in embed_module.BUILT]
    assert built == []


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "app")
    command = ["embed", str(folder), "--app", "ios", "--out", out]
    assert lesionlite.main([*command, "--precision", "fp32", "--json"]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["out"] == out and document["artifacts"][0].endswith("-fp32.mlpackage")
    assert f"next: open {out}/LesionLite.swiftpm in Xcode" in said.err
    assert lesionlite.main(command) == 2
    assert "is there already" in capsys.readouterr().err
    assert lesionlite.main(["embed", str(folder), "--app", "windows", "--out", out + "2"]) == 2
    assert "choose from: web, android, ios" in capsys.readouterr().err
    assert lesionlite.main(["embed", out, "--app", "web", "--out", out + "2"]) == 2
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
        [*names, "contract.json", "golden"]
    )
    assert [name.rsplit("-", 1)[1] for name in names] == ["fp16.tflite", "fp16.onnx"]
    golden = json.loads((model / GOLDEN / "golden.json").read_text())
    assert list(golden["artifacts"]) == names
    assert golden["labels"] == list(Contract.read(model / "contract.json").labels)
    for image in golden["images"]:
        assert (model / GOLDEN / image).read_bytes() == (folder / GOLDEN / image).read_bytes()
    for name in names:
        assert (model / name).read_bytes() == (folder / name).read_bytes()


def test_the_same_twice(fill: Embed, tmp_path: Path) -> None:
    def files(app: Path) -> dict[str, bytes]:
        return {str(f.relative_to(app)): f.read_bytes() for f in app.rglob("*") if f.is_file()}

    fill(out=tmp_path / "one")
    fill(out=tmp_path / "two")
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_package_is_placed_whole(fill: Embed, tmp_path: Path) -> None:
    (row,) = fill("apple").artifacts
    assert (tmp_path / "app" / "App" / "Resources" / row.artifact / "Manifest.json").is_file()


def test_no_report_is_said_aloud(fill: Embed) -> None:
    assert ["no report says" in remark for remark in fill().remarks] == [True, True]


def test_a_report_of_other_files_counts_as_none(fill: Embed, folder: Path) -> None:
    report(folder)
    document = json.loads((folder / "report.json").read_text())
    for row in document["rows"]:
        row["size_bytes"] += 1
    (folder / "report.json").write_text(json.dumps(document))
    assert len(fill().remarks) == 2


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
    with pytest.raises(LesionliteError, match="none that passed the benchmark"):
        fill()


def test_wrong_choices_list_the_right_ones(fill: Embed) -> None:
    with pytest.raises(LesionliteError, match="page, apple"):
        fill("windows")
    with pytest.raises(LesionliteError, match="'w4'; choose from: .*fp32"):
        fill(precision="w4")


def test_a_changed_artifact_is_refused(fill: Embed, folder: Path, tmp_path: Path) -> None:
    (path,) = folder.glob("*-fp16.onnx")
    path.write_bytes(path.read_bytes() + b"0")
    with pytest.raises(LesionliteError, match="is not the file that"):
        fill()
    assert not (tmp_path / "app").exists()


def test_changed_or_missing_golden_vectors_are_refused(fill: Embed, folder: Path) -> None:
    (folder / GOLDEN / "0.png").write_bytes(b"")
    with pytest.raises(LesionliteError, match="golden vectors .* not the ones"):
        fill()
    add_golden(folder)
    fill()
    shutil.rmtree(folder / GOLDEN)
    with pytest.raises(LesionliteError, match="golden vectors .* are missing"):
        fill(model_only=True)


def test_an_edited_app_is_left_alone(fill: Embed, tmp_path: Path) -> None:
    fill()
    (tmp_path / "app" / "main").write_text("edited")
    (tmp_path / "app" / "model" / "stray").write_text("")
    with pytest.raises(LesionliteError, match="--model-only"):
        fill()
    made = fill(model_only=True, precision="fp32")
    assert (tmp_path / "app" / "main").read_text() == "edited"
    found = {path.name for path in (tmp_path / "app" / "model").iterdir()}
    assert found == {*(row.artifact for row in made.artifacts), "contract.json", "golden"}


def test_no_app_to_renew(fill: Embed) -> None:
    with pytest.raises(LesionliteError, match="no app .* to renew"):
        fill(model_only=True)
