"""A model that is placed anew in an app: what is the developer's stays."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lesionlite.errors import LesionliteError
from lesionlite.export.manifest import GOLDEN
from lesionlite.files import sha256_file
from lesionlite.mobile_app_stub.provenance import PROVENANCE
from tests.mobile_app_stub.conftest import Embed
from tests.mobile_app_stub.test_embed import report


def test_an_edited_app_is_left_alone(fill: Embed, folder: Path, tmp_path: Path) -> None:
    report(folder)
    fill()
    (tmp_path / "app" / "main").write_text("edited")
    (tmp_path / "app" / "model" / "stray").write_text("mine")
    (tmp_path / "app" / "model" / "mine").mkdir()
    (tmp_path / "app" / "model" / GOLDEN / "notes").write_text("mine")
    with pytest.raises(LesionliteError, match="--model-only"):
        fill()
    made = fill(model_only=True, precision="fp32")
    assert (tmp_path / "app" / "main").read_text() == "edited"
    found = {path.name for path in (tmp_path / "app" / "model").iterdir()}
    placed = {*(row.artifact for row in made.artifacts), "contract.json", "golden", PROVENANCE}
    assert found == placed | {"stray", "mine"}
    assert (tmp_path / "app" / "model" / "stray").read_text() == "mine"
    assert (tmp_path / "app" / "model" / GOLDEN / "notes").read_text() == "mine"


def everything(folder: Path) -> dict[str, object]:
    return {
        str(f.relative_to(folder)): f.read_bytes() if f.is_file() else f.is_symlink()
        for f in folder.rglob("*")
    }


def no_cases(app: Path) -> None:
    (app / "cases.json").unlink()


def no_golden(app: Path) -> None:
    shutil.rmtree(app / "model" / GOLDEN)


def linked_golden(app: Path) -> None:
    (app / "model" / GOLDEN).rename(app.parent / "elsewhere")
    (app / "model" / GOLDEN).symlink_to(app.parent / "elsewhere")


def edited_artifact(app: Path) -> None:
    (path,) = (app / "model").glob("*.onnx")
    path.write_bytes(b"mine")


def file_in_the_way(app: Path) -> None:
    (app / "model" / "mobilevitv2_050-fp16.onnx").write_text("mine")


def own_provenance(app: Path) -> None:
    (app / "model" / PROVENANCE).write_text('{"mine": true}')


def golden_that_names(name: str, value: str) -> Callable[[Path], None]:
    """A golden.json of the app that names a file with a hash that fits."""

    def plant(app: Path) -> None:
        file = app / "model" / GOLDEN / "golden.json"
        document = json.loads(file.read_text())
        (app.parent / "outside.onnx").write_text("mine")
        if name == "images":
            document["images"][0] = value
        else:
            entry = {"sha256": sha256_file(app.parent / "outside.onnx"), "tolerance": 0.02}
            document["artifacts"][value] = entry
        file.write_text(json.dumps(document))

    return plant


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (lambda app: shutil.rmtree(app), "no app to renew: there is no folder"),
        (no_cases, "no app to renew: .* has no cases.json; name the folder"),
        (no_golden, "no app to renew: .* has no model/golden/golden.json"),
        (linked_golden, "golden is a link or lies below one"),
        (edited_artifact, "is not the file that lesionlite placed there"),
        (file_in_the_way, "fp16.onnx is not one that lesionlite placed"),
        (own_provenance, "provenance.json is not one that lesionlite placed"),
        (golden_that_names("images", "../../main"), "no plain file name"),
        (golden_that_names("artifacts", "../../outside.onnx"), "no plain file name"),
        (golden_that_names("artifacts", "stray"), "which is no artifact"),
    ],
)
def test_what_is_not_lesionlites_is_never_deleted(
    plant: Callable[[Path], None], words: str, fill: Embed, folder: Path, tmp_path: Path
) -> None:
    fill(precision="fp32")
    plant(tmp_path / "app")
    before = everything(tmp_path)
    with pytest.raises(LesionliteError, match=words):
        fill(precision="fp16", model_only=True)
    assert everything(tmp_path) == before


def test_a_folder_of_another_kind_is_no_app(fill: Embed, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "model"
    mine.mkdir(parents=True)
    (mine / "weights.bin").write_text("mine")
    with pytest.raises(LesionliteError, match="mine is no page app of lesionlite"):
        fill(out=mine.parent, precision="fp32", model_only=True)
    assert (mine / "weights.bin").read_text() == "mine"
    fill("apple", out=tmp_path / "phone", precision="fp32")
    with pytest.raises(LesionliteError, match="is no page app"):
        fill(out=tmp_path / "phone", precision="fp32", model_only=True)
