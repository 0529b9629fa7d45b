"""The command as users meet it: answers, sentences, exit codes."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lesionlite
from lesionlite import cli
from lesionlite.layout import METRICS
from tests.paths import ROOT


def run_cli(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lesionlite", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)


def sentence(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail with exit code 2; the one sentence it prints."""
    try:
        assert cli.main([str(argument) for argument in arguments]) == 2
    except SystemExit as stop:
        assert stop.code == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return " ".join(text.split())


def image_folder(
    folder: Path, classes: str = "ab", splits: tuple[str, ...] = ("train", "val")
) -> Path:
    for split in splits:
        for name in classes:
            (folder / split / name).mkdir(parents=True)
            for index in range(4):
                colour = (60 * index, 200 if name == "a" else 20, 90)
                Image.new("RGB", (40, 40), colour).save(folder / split / name / f"{index}.png")
    return folder


FAST = (
    "--weights",
    "none",
    "--model",
    "mobilevitv2_050",
    "--side",
    32,
    "--epochs",
    1,
    "--batch",
    4,
)


def test_wrong_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ("--out", tmp_path / "run", *FAST)
    assert "there is no folder" in sentence(capsys, "train", tmp_path / "nowhere", *out)
    (tmp_path / "empty" / "train").mkdir(parents=True)
    assert "holds no images" in sentence(capsys, "train", tmp_path / "empty", *out)
    one = image_folder(tmp_path / "one", "a")
    assert "one class only" in sentence(capsys, "train", one, *out)
    two = image_folder(tmp_path / "two")
    (two / "val" / "zebra").mkdir()
    assert "train/ lacks: zebra" in sentence(capsys, "train", two, *out)
    assert not (tmp_path / "run").exists()


def test_a_truncated_image_is_named_or_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = image_folder(tmp_path / "data")
    bad = data / "train" / "a" / "0.png"
    bad.write_bytes(bad.read_bytes()[:40])
    arguments = ("train", data, "--out", tmp_path / "run", *FAST)
    words = sentence(capsys, *arguments)
    assert "1 of the images" in words and "a/0.png" in words and "--skip-bad" in words
    assert cli.main([*map(str, arguments), "--skip-bad"]) == 0
    assert "left out" in capsys.readouterr().out


def test_wrong_choices_list_the_right_ones(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = ("export", run, "--out", tmp_path / "out")
    assert "torchscript, onnx" in sentence(capsys, *export, "--formats", "tflight")
    assert "fp32, fp16, w8" in sentence(capsys, *export, "--precisions", "half")
    assert "did you mean 'train'" in sentence(capsys, "trian")
    data = image_folder(tmp_path / "data")
    wrong = ("train", data, "--out", tmp_path / "r", "--weights", "none", "--model", "mobilevitv2")
    assert "mobilevitv2_100" in sentence(capsys, *wrong)


def test_a_contract_that_does_not_match(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    contract = json.loads((folder / "contract.json").read_text())
    contract["labels"].pop()
    (folder / "contract.json").write_text(json.dumps(contract))
    words = sentence(capsys, "export", folder, "--out", tmp_path / "out", "--formats", "onnx")
    assert "prior has 14 of 13 numbers" in words
    (folder / "contract.json").write_text(json.dumps({**contract, "prior": []}))
    words = sentence(capsys, "export", folder, "--out", tmp_path / "out", "--formats", "onnx")
    assert "rejection.whitening has 29 rows, it must have 28" in words
    without = {**contract, "prior": [], "rejection": None}
    (folder / "contract.json").write_text(json.dumps(without))
    words = sentence(capsys, "export", folder, "--out", tmp_path / "out", "--formats", "onnx")
    assert "contract and checkpoint" in words and "13 labels" in words


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "no permission")],
)
def test_storage_that_refuses(
    number: int,
    words: str,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(source: object, target: object) -> None:
        raise OSError(number, os.strerror(number), str(target))

    monkeypatch.setattr(os, "replace", refuse)
    data = image_folder(tmp_path / "data")
    assert words in sentence(capsys, "train", data, "--out", tmp_path / "run", *FAST)
    assert not list((tmp_path / "run").glob("*"))


def test_out_that_is_a_file(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    data = image_folder(tmp_path / "data")
    for command in (("train", data, *FAST), ("export", run, "--formats", "onnx"), ("build", data)):
        assert "is a file" in sentence(capsys, *command, "--out", tmp_path / "file")
    below = tmp_path / "file" / "below"
    assert "file" in sentence(capsys, "train", data, *FAST, "--out", below)


@pytest.mark.slow
def test_ctrl_c_stops_in_a_sentence_and_resumes(tmp_path: Path) -> None:
    data = image_folder(tmp_path / "data")
    flags = [str(f) for f in FAST if f != 1] + ["1000", "--patience", "1000"]
    flags[flags.index("--epochs") + 1 :] = ["1000", "--batch", "4", "--patience", "1000"]
    command = [
        sys.executable,
        "-m",
        "lesionlite",
        "train",
        str(data),
        "--out",
        str(tmp_path / "run"),
    ]
    process = subprocess.Popen(
        [*command, *flags],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A shell starts what runs in the background with Ctrl-C ignored, and children inherit it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    end = time.monotonic() + 120
    while not (tmp_path / "run" / METRICS).exists() and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Stopped" in errors and "--resume" in errors and "Traceback" not in errors
    assert not list((tmp_path / "run").glob(".tmp*"))
    done = len((tmp_path / "run" / METRICS).read_text().splitlines())
    assert done >= 1


def test_json_is_one_document_and_words_go_elsewhere(
    run: Path, drawn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next((drawn / "test").rglob("*.png"))
    assert cli.main(["predict", str(run), str(image), "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    probabilities = document["images"][0]["probabilities"]
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert list(probabilities.values()) == sorted(probabilities.values(), reverse=True)
    assert "Not a medical device" in captured.err and "drawn" in document["note"]


def test_evaluate_takes_a_subset_of_the_classes(
    artifacts: Path, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("Healthy", "Melanoma"):
        shutil.copytree(drawn / "test" / name, tmp_path / "some" / name)
    model = artifacts / "mobilevitv2_050-fp32.onnx"
    out = tmp_path / "out"
    assert cli.main(["evaluate", str(model), str(tmp_path / "some"), "--out", str(out)]) == 0
    words = capsys.readouterr().out
    assert "Melanoma" in words and "no medical meaning" in words
    names = {file.name for file in out.iterdir()}
    assert {"test.json", "confusion.png", "tables.md", "table1.csv"} <= names
    assert "curves.png" not in names and "no curves.png" in words
    (tmp_path / "some" / "Zebra").mkdir()
    assert "does not know: Zebra" in sentence(capsys, "evaluate", model, tmp_path / "some")


def test_evaluate_names_the_split_and_says_when_its_scores_are_too_good(
    run: Path, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, split in ((drawn, "test"), (drawn / "val", "val"), (drawn / "train", "train")):
        assert cli.main(["evaluate", str(run), str(folder), "--json"]) == 0
        captured = capsys.readouterr()
        words = " ".join(captured.err.split())
        assert json.loads(captured.out)["split"] == split and f"{split} images" in words
        assert ("too good" in words) == (split != "test")


def test_predict_says_what_is_wrong(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there is no image" in sentence(capsys, "predict", run, tmp_path / "x.png")
    (tmp_path / "x.png").write_text("no image")
    assert "cannot be decoded" in sentence(capsys, "predict", run, tmp_path / "x.png")
    assert "there is no artifact" in sentence(capsys, "predict", tmp_path / "y.onnx", tmp_path)
    assert "holds no images" in sentence(capsys, "evaluate", run, tmp_path)


def test_the_public_functions(run: Path, drawn: Path) -> None:
    predictor = lesionlite.load(run)
    files = sorted((drawn / "test").rglob("*.png"))[:3]
    from_files = predictor.predict(files)
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])
    np.testing.assert_array_equal(from_files, predictor.predict(pixels))
    assert from_files.shape == (3, 14) and from_files.dtype == np.float32
    assert predictor.predict([]).shape == (0, 14)
    assert lesionlite.evaluate(run, drawn / "test").images > 0
    with pytest.raises(lesionlite.LesionliteError, match="uint8"):
        predictor.predict(np.zeros((2, 8, 8, 3)))  # type: ignore[arg-type]


def test_no_command_is_no_success() -> None:
    assert run_cli().returncode == 2
    assert run_cli("--help").returncode == 0
    assert "Traceback" not in run_cli("predict").stderr
