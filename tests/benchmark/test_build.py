import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

import lesionlite
from lesionlite import cli
from lesionlite.layout import WEIGHTS
from tests.conftest import TINY

FLAGS = ["--formats", "onnx", "--queries", "4", "--seconds", "0.05"]
FLAGS += ["--calibration", "14", "--tuning-steps", "2"]


def test_steps_are_skipped_until_their_inputs_change(
    run: Path, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(*more: str) -> str:
        base = ["build", str(drawn), "--run", str(run), "--out", str(tmp_path / "out")]
        assert cli.main([*base, *FLAGS, *more]) in (0, 1)
        return capsys.readouterr().out

    first = build("--precisions", "fp32")
    assert "inputs unchanged" not in first and "Every artifact passes" in first
    again = build("--precisions", "fp32")
    assert "export: inputs unchanged" in again and "benchmark: inputs unchanged" in again
    assert "Every artifact passes" in again and "next: lesionlite predict" in again
    wider = build("--precisions", "fp32", "fp16")
    assert "inputs unchanged" not in wider
    later = build("--precisions", "fp32", "fp16", "--threads", "1")
    assert "export: inputs unchanged" in later and "benchmark: inputs" not in later


def test_the_gate_sets_the_exit_code(run: Path, drawn: Path, tmp_path: Path) -> None:
    base = ["build", str(drawn), "--run", str(run), "--out", str(tmp_path), *FLAGS]
    base += ["--precisions", "fp32"]
    assert cli.main(base) == 0
    assert cli.main([*base, "--max-mean-dp", "0"]) == 1


@pytest.mark.slow
def test_without_data_images_are_drawn_and_the_demos_settings_hold(tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = ["--images", "150", "--epochs", "1", "--side", "32", "--precisions", "fp32", *FLAGS]
    assert cli.main(["build", "--out", str(out), *flags]) in (0, 1)
    settings = json.loads((out / "run" / "train.json").read_text())
    assert settings["weights"] == "none" and settings["side"] == 32  # the demo's, and the flag's
    assert json.loads((out / "report.json").read_text())["note"].startswith("drawn")


def test_build_as_a_function(run: Path, drawn: Path, tmp_path: Path) -> None:
    document = lesionlite.build(
        tmp_path / "out",
        drawn,
        run,
        TINY,
        lesionlite.ExportConfig(formats=("onnx",), precisions=("fp32",)),
        lesionlite.BenchmarkConfig(queries=4, seconds=0.05),
    )
    assert document["passed"] and (run / WEIGHTS).is_file()


def test_no_run_is_a_sentence(drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(lesionlite.LesionliteError, match="is no run"):
        lesionlite.build(tmp_path / "out", drawn, tmp_path)


@pytest.mark.slow
def test_a_test_image_is_checked_once_and_decoded_once(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Counter[Path] = Counter()
    pillows = Image.open

    def counting(file: Path, *args: object) -> Image.Image:
        opened[Path(file)] += 1
        return pillows(file, *args)

    monkeypatch.setattr(Image, "open", counting)
    flags = ["--epochs", "1", "--side", "32", "--weights", "none", "--precisions", "fp32"]
    base = ["build", str(drawn), "--out", str(tmp_path / "out"), "--model", "mobilevitv2_050"]
    assert cli.main([*base, *flags, *FLAGS]) in (0, 1)
    times = {opened[file] for file in (drawn / "test").glob("*/*")}
    assert times == {2}  # before training, whether it can be read; then for every answer
