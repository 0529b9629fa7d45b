import json
import os
from pathlib import Path

import pytest

from lesionlite.benchmark.places import refuse_places, remove_older_artifacts, set_aside
from lesionlite.errors import LesionliteError
from lesionlite.export.config import ExportConfig
from lesionlite.export.manifest import Artifact, Manifest
from lesionlite.files import write_text
from lesionlite.layout import SETTINGS, WEIGHTS
from lesionlite.outputs import MARK, ours_in, writing_into


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run, as far as one can tell from outside, with notes of the user's."""
    folder = tmp_path / "run"
    with writing_into(folder):
        write_text(folder / WEIGHTS, "weights")
        write_text(folder / SETTINGS, '{"model": "m"}')
    (folder / "notes").write_text("mine")
    os.utime(folder / SETTINGS, (1_700_000_000, 1_700_000_000))
    return folder


def test_a_trained_network_is_moved_aside_with_its_date(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_aside(run, "it has other settings")
    (aside,) = tmp_path.iterdir()
    assert aside.name.startswith("run-2023-11-1") and len(aside.name) == len("run-2023-11-14-2213")
    assert (aside / WEIGHTS).read_text() == "weights" and (aside / "notes").read_text() == "mine"
    assert str(aside) in capsys.readouterr().out.replace("\n", "")


def test_the_name_is_one_that_is_free(run: Path, tmp_path: Path) -> None:
    copy = {file.name: file.read_bytes() for file in run.iterdir()}
    set_aside(run, "")
    (first,) = tmp_path.iterdir()
    run.mkdir()
    for name, content in copy.items():
        (run / name).write_bytes(content)
    os.utime(run / SETTINGS, (1_700_000_000, 1_700_000_000))
    set_aside(run, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == [first.name, f"{first.name}-2"]


def test_where_no_network_is_nothing_moves(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").touch()
    set_aside(tmp_path / "run", "")
    set_aside(tmp_path / "nowhere", "")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["run/x", "artifacts/x", "report.md", "steps.json", "run"])
def test_what_the_user_put_there_is_refused(tmp_path: Path, name: str) -> None:
    with writing_into(tmp_path):
        refuse_places(tmp_path, trains=True)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
        with pytest.raises(LesionliteError, match=name.split("/")[0]):
            refuse_places(tmp_path, trains=True)
        if name.startswith("run"):
            refuse_places(tmp_path, trains=False)
    assert (tmp_path / name).read_text() == "mine"


def test_what_is_ours_is_not_refused(run: Path, tmp_path: Path) -> None:
    refuse_places(tmp_path, trains=True)
    (run / MARK).unlink()  # of a lesionlite that kept no list
    refuse_places(tmp_path, trains=True)
    (run / WEIGHTS).unlink()
    with pytest.raises(LesionliteError, match="is a folder of yours"):
        refuse_places(tmp_path, trains=True)


def test_older_artifacts_go_and_the_users_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    rows = (Artifact("m-fp32.onnx", "onnx", "fp32", "0" * 64, 3),)
    with writing_into(folder):
        for name in ("m-fp32.onnx", "m-w8.onnx", "calibration.txt", "contract.json"):
            write_text(folder / name, "ours")
        write_text(folder / "defaults" / "x.onnx", "ours")
        (folder / "m-fp16.onnx").write_text("mine")
        (folder / "notes").write_text("mine")
        outside = tmp_path / "outside"
        outside.write_text("mine")
        with (folder / MARK).open("a") as stream:  # whoever wrote that there
            stream.write(json.dumps("../outside") + "\n" + json.dumps("/etc/passwd") + "\n")
        Manifest("m", "0" * 64, "0" * 64, None, 0, {}, rows).write(folder)
        remove_older_artifacts(folder, ExportConfig(formats=("onnx",), precisions=("fp32",)))
        left = {path.name for path in folder.iterdir()}
        assert left == {
            "m-fp32.onnx",
            "m-fp16.onnx",
            "notes",
            "contract.json",
            "manifest.json",
            MARK,
        }
        assert outside.read_text() == "mine"
        # A name that was given up is the user's to use.
        (folder / "m-w8.onnx").write_text("mine")
        with pytest.raises(LesionliteError, match="did not write"):
            write_text(folder / "m-w8.onnx", "ours")
    assert "m-fp32.onnx" in ours_in(folder) and "m-w8.onnx" not in ours_in(folder)
