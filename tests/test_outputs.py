"""What lesionlite did not write stays; what it wrote is replaced; what was killed is swept."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lesionlite import outputs
from lesionlite.errors import LesionliteError
from lesionlite.files import inside, need_folder, replacing, write_text
from lesionlite.outputs import HALF, MARK, OLD, is_ours, ours_in, refuse_overlap, writing_into
from tests.paths import ROOT


def test_only_what_is_listed_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with writing_into(out):
        write_text(out / "report.md", "first")
    (out / "notes.md").write_text("mine")
    with writing_into(out):
        write_text(out / "report.md", "second")
        with pytest.raises(LesionliteError, match=r"notes\.md is a file that lesionlite did not"):
            write_text(out / "notes.md", "ours")
    assert (out / "report.md").read_text() == "second" and (out / "notes.md").read_text() == "mine"
    assert ours_in(out) == {"report.md"}
    (out / MARK).unlink()  # planted fault: without the list even our own file is not replaced
    with writing_into(out), pytest.raises(LesionliteError, match=r"report\.md is a file"):
        write_text(out / "report.md", "third")


def test_a_line_that_was_cut_off_owns_nothing(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text('"whole"\n"hal')
    (tmp_path / "whole").touch()
    (tmp_path / "hal").touch()
    assert is_ours(tmp_path / "whole") and not is_ours(tmp_path / "hal")


def test_what_lies_in_a_folder_of_ours_is_ours(tmp_path: Path) -> None:
    with writing_into(tmp_path):
        with replacing(tmp_path / "golden") as temporary:
            temporary.mkdir()
            write_text(temporary / "0.png", "x")
        assert is_ours(tmp_path / "golden" / "0.png")
    assert ours_in(tmp_path) == {"golden"}


@pytest.mark.parametrize(("mine", "theirs"), [("file", "folder"), ("folder", "file")])
def test_a_folder_and_a_file_do_not_take_each_others_place(
    mine: str, theirs: str, tmp_path: Path
) -> None:
    def make(path: Path, kind: str) -> None:
        if kind == "folder":
            path.mkdir()
            (path / "x").touch()
        else:
            path.write_text("x")

    make(tmp_path / "out", theirs)
    said = f"is a {theirs}, and a {mine} of that name is to be written"
    with pytest.raises(LesionliteError, match=said), replacing(tmp_path / "out", ours=True) as half:
        make(half, mine)
    assert (tmp_path / "out").is_dir() == (theirs == "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_killed_commands_leftovers_go_and_what_it_set_aside_returns(tmp_path: Path) -> None:
    (tmp_path / f"{HALF}1-x.onnx").write_text("half")
    (tmp_path / f"{OLD}1-golden").mkdir()
    (tmp_path / f"{OLD}1-golden" / "0.png").write_text("whole")
    with writing_into(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["golden"]
    assert (tmp_path / "golden" / "0.png").read_text() == "whole"


def test_leftovers_of_the_living_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for process in (dead.pid, os.getppid()):
        (tmp_path / f"{HALF}{process}-x").write_text("half")
    write_text(tmp_path / "x", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"x", f"{HALF}{os.getppid()}-x"}


def test_nothing_written_leaves_no_folder(tmp_path: Path) -> None:
    with writing_into(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert not list(tmp_path.iterdir())


def test_a_second_process_is_refused_and_a_dead_one_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "WAIT", 0.3)
    code = (
        "import sys, time; from pathlib import Path; from lesionlite.outputs import writing_into\n"
        "with writing_into(Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdout.readline() == "in\n"
    with (
        pytest.raises(LesionliteError, match="another lesionlite is writing"),
        writing_into(tmp_path),
    ):
        pass
    other.kill()
    other.wait()
    started = time.monotonic()
    with writing_into(tmp_path):
        pass
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("out", "given", "words"),
    [
        ("data", "data", "is .*data, the DATA that is read"),
        ("data/train/run", "data", "lies in .*data, the DATA"),
        ("out", "out/data", "out/data, the DATA that is read, lies in --out"),
        ("link/run", "data", "lies in .*data, the DATA"),
    ],
)
def test_outputs_and_inputs_lie_apart(out: str, given: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "data" / "train").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(LesionliteError, match=words):
        refuse_overlap(tmp_path / out, DATA=tmp_path / given)
    refuse_overlap(tmp_path / "data2", DATA=tmp_path / "data", RUN=None)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", "/x", "x\0", "a\nb"])
def test_names_in_files_are_plain(name: str, tmp_path: Path) -> None:
    with pytest.raises(LesionliteError, match="m.json names .* no plain file name"):
        inside(tmp_path, name, "m.json")
    assert inside(tmp_path, "a b.onnx", "m.json") == tmp_path / "a b.onnx"


def test_what_is_no_folder_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name, words in (("file", "no folder"), ("link", "a broken link"), ("x", "there is no")):
        with pytest.raises(LesionliteError, match=words):
            need_folder(tmp_path / name)
    assert need_folder(tmp_path) == tmp_path
