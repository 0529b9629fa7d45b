"""A run remembers its data. Two classes of drawn colours, and the smallest network."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from lesionlite import cli
from lesionlite.errors import LesionliteError
from lesionlite.layout import CONTRACT, CURVES, DATA, LAST, METRICS, SCORES, SETTINGS, WEIGHTS
from lesionlite.train import checkpoint, loop
from lesionlite.train.data.splits import read_dataset
from lesionlite.train.fit import fit
from lesionlite.train.loop import Trainer
from lesionlite.train.memory import (
    Memory,
    difference,
    is_finished_with,
    other_settings,
    read_memory,
    remember,
)
from lesionlite.train.results import train_and_test
from tests.conftest import TINY

SMALL = replace(TINY, epochs=1, side=32, batch=4, device="cpu")


def picture(file: Path, colour: tuple[int, int, int], seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 60, (40, 40, 3))
    Image.fromarray(np.uint8(noise + np.array(colour))).save(file)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split, number in (("train", 6), ("val", 3), ("test", 2)):
        for label, colour in (("a", (190, 0, 0)), ("b", (0, 0, 190))):
            for index in range(number):
                seed = sum(map(ord, split + label)) * 100 + index
                picture(tmp_path / "data" / split / label / f"{index}.png", colour, seed)
    return tmp_path / "data"


def interrupted(data: Path, run: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Train an epoch, and stop where `step` of the trainer's would begin."""

    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, step, stop)
        fit(data, run, SMALL)


def test_a_run_remembers_its_images(data: Path, tmp_path: Path) -> None:
    result, scores = train_and_test(data, tmp_path / "run", SMALL)
    assert scores is not None and scores.images == 4
    memory = remember(read_dataset(data), data)
    found = read_memory(tmp_path / "run")
    assert found and replace(found, audit="") == memory and "is in two splits" in found.audit
    assert list(memory.val) == [f"val/{c}/{n}.png" for c in "ab" for n in range(3)]
    assert str(tmp_path) not in (tmp_path / "run" / DATA).read_text()
    assert is_finished_with(result.run, SMALL, memory) == ""
    assert "other settings (lr)" in is_finished_with(result.run, replace(SMALL, lr=1.0), memory)
    other = replace(memory, labels=("x", "y"))
    assert "classes were a, b and are x, y" in is_finished_with(result.run, SMALL, other)
    assert "holds no run" in is_finished_with(tmp_path / "none", SMALL, memory)
    # Finished, and killed before its test split was scored: only that is done.
    (result.run / SCORES).unlink()
    written = (result.run / WEIGHTS).stat().st_mtime_ns
    assert train_and_test(data, result.run, SMALL, resume=True)[1] == scores
    assert (result.run / WEIGHTS).stat().st_mtime_ns == written
    with pytest.raises(LesionliteError, match="already holds a finished run"):
        train_and_test(data, result.run, SMALL, resume=True)
    (result.run / SCORES).unlink()
    picture(data / "train" / "a" / "new.png", (9, 9, 9), 0)
    with pytest.raises(LesionliteError, match="1 image is added in train/"):
        train_and_test(data, result.run, SMALL, resume=True)


def add(data: Path) -> None:
    for index in range(5):
        picture(data / "val" / "a" / f"new{index}.png", (9, 9, 9), index)


def remove(data: Path) -> None:
    (data / "train" / "a" / "0.png").unlink()


def change(data: Path) -> None:
    picture(data / "train" / "b" / "1.png", (99, 99, 99), 7)


def rename(data: Path) -> None:
    for split in ("train", "val", "test"):
        (data / split / "a").rename(data / split / "x")


def more_classes(data: Path) -> None:
    picture(data / "train" / "c" / "1.png", (99, 99, 99), 7)


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (
            add,
            r"5 images are added in val/ \(val/a/new0.png, val/a/new1.png, val/a/new2.png, ...\)",
        ),
        (remove, r"1 image is removed in train/ \(train/a/0.png\)"),
        (change, r"1 image is changed in train/ \(train/b/1.png\)"),
        (rename, "classes were a, b and are b, x"),
        (more_classes, "classes were a, b and are a, b, c"),
    ],
)
def test_a_run_does_not_go_on_with_other_data(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    alter: Callable[[Path], None],
    said: str,
) -> None:
    run = tmp_path / "run"
    interrupted(data, run, monkeypatch, "_finish")
    before = {file: file.read_bytes() for file in run.iterdir()}
    alter(data)
    with pytest.raises(LesionliteError, match=said):
        fit(data, run, SMALL, resume=True)
    assert {file: file.read_bytes() for file in run.iterdir()} == before
    if alter is more_classes:
        (run / DATA).unlink()  # as an older lesionlite left it
        with pytest.raises(LesionliteError, match=said):
            fit(data, run, SMALL, resume=True)


@pytest.mark.parametrize("step", ["_save", "_write_metrics", "_finish"])
def test_a_kill_between_two_writes_costs_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    fit(data, tmp_path / "whole", SMALL)
    interrupted(data, tmp_path / "parts", monkeypatch, step)
    monkeypatch.setattr(Trainer, "_epoch", None)  # none is trained again
    fit(data, tmp_path / "parts", SMALL, resume=True)
    for name in (WEIGHTS, CONTRACT, METRICS, CURVES, DATA, SETTINGS):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "parts" / LAST).exists()


def test_a_picture_that_cannot_be_drawn_costs_no_epoch(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: object) -> None:
        raise ValueError("ParseException: Expected end of text")

    monkeypatch.setattr(loop, "draw_curves", fail)
    assert fit(data, tmp_path / "run", SMALL).epochs_run == 1
    assert "curves.png could not be drawn (ValueError" in capsys.readouterr().out


def test_a_checkpoint_of_other_classes_is_a_sentence(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    interrupted(data, run, monkeypatch, "_finish")
    more_classes(data)
    (run / DATA).unlink()
    (run / CONTRACT).unlink()
    with pytest.raises(LesionliteError, match="not one of these settings.*head.fc"):
        fit(data, run, SMALL, resume=True)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (SETTINGS, "[]", "train.json: it is a list of 0; expected an object"),
        (SETTINGS, "{", "train.json is damaged"),
        (SETTINGS, '{"model": 3}', "train.json: model is 3; expected text"),
        (DATA, '{"labels": "ab"}', 'data.json: labels is "ab"; expected a list'),
        (DATA, "", "data.json is damaged"),
    ],
)
def test_damaged_records_are_sentences(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    text: str,
    said: str,
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setattr(checkpoint, "exists", lambda run: True)
    (run / name).write_text(text)
    with pytest.raises(LesionliteError) as caught:
        fit(data, run, SMALL, resume=True)
    assert said in str(caught.value)


def test_old_settings_lack_new_ones() -> None:
    saved = {"recipe": "paper", **{k: getattr(SMALL, k) for k in ("model", "weights", "side")}}
    assert "weights_ema" not in other_settings(saved, SMALL)
    assert "side" not in other_settings(saved, SMALL) and "epochs" in other_settings(saved, SMALL)


def test_only_regular_files_are_hashed(data: Path) -> None:
    os.mkfifo(data / "train" / "a" / "pipe.png")
    dataset = read_dataset(data)
    train = dataset.train
    files = (*train.files, data / "train" / "a" / "pipe.png")
    split = replace(train, files=files, targets=(0,) * len(files))
    with pytest.raises(LesionliteError, match=r"pipe.png is no regular file"):
        remember(replace(dataset, train=split), data)


def test_differences_in_words() -> None:
    memory = Memory(("a", "b"), {"train/a/1": "x"}, {})
    assert difference(memory, memory) == ""
    moved = replace(memory, train={"train/b/1": "x"})
    assert difference(memory, moved) == (
        "1 image is added in train/ (train/b/1); 1 image is removed in train/ (train/a/1)"
    )


@pytest.mark.parametrize("text", ['{"domains": ["a"]}', '{"note": "\\ud800"}', '{"note": 3}'])
def test_what_the_end_needs_is_checked_at_the_start(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(Trainer, "__init__", None)  # does not come to it
    (data / "dataset.json").write_text(text)
    with pytest.raises(LesionliteError, match="dataset.json|note"):
        fit(data, tmp_path / "run", SMALL)
    assert not (tmp_path / "run").exists()


def test_outputs_and_inputs_lie_apart(data: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    for out in (data / "train" / "run", data, tmp_path):
        with pytest.raises(LesionliteError, match="choose another --out"):
            fit(data, out, SMALL)
    assert sorted(tmp_path.rglob("*")) == before
    shutil.copytree(data, tmp_path / "run" / "old")  # any file will do
    weights = tmp_path / "run" / "old" / "val" / "a" / "0.png"
    with pytest.raises(LesionliteError, match="the weights that is read, lies in --out"):
        fit(data, tmp_path / "run", replace(SMALL, weights=str(weights)))


def test_a_file_of_the_users_is_found_before_training(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CURVES).write_text("mine")
    with pytest.raises(
        LesionliteError, match=r"curves.png is a file that lesionlite did not write"
    ):
        fit(data, tmp_path / "run", SMALL)
    assert [file.name for file in (tmp_path / "run").iterdir()] == [CURVES]


HOLD = """
import sys, time
from pathlib import Path
from lesionlite.outputs import writing_into
with writing_into(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_waits_and_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lesionlite.outputs.WAIT", 0.5)
    run = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None and first.stdout.readline() == b"held\n"
        assert cli.main(["train", str(data), "--out", str(run), "--weights", "none"]) == 2
        first.kill()
    assert "another lesionlite is writing into" in capsys.readouterr().err
    assert list(run.iterdir()) == []


def test_epochs_zero_writes_nothing_of_a_network_whose_answers_are_not_finite(
    data: Path, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    run = tmp_path / "run"
    fit(data, run, replace(SMALL, epochs=0))
    state = load_file(run / WEIGHTS)
    state["stages.1.0.conv2_kxk.bn.running_var"].fill_(-1.0)  # finite, and its root is not
    save_file(state, tmp_path / "bad.safetensors")
    bad = replace(SMALL, epochs=0, weights=str(tmp_path / "bad.safetensors"))
    with pytest.raises(LesionliteError, match=r"not finite: .*stages.1.0.conv2_kxk.bn"):
        fit(data, tmp_path / "other", bad)
    assert not (tmp_path / "other").exists()
    document = json.loads((run / DATA).read_text())
    assert document["labels"] == ["a", "b"] and document["version"] == 1
