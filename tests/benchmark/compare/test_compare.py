import json
from pathlib import Path

import pytest

from lesionlite import cli
from lesionlite.benchmark.compare.artifacts import make_files
from lesionlite.benchmark.compare.config import CompareConfig
from lesionlite.layout import WEIGHTS

FLAGS = ("--weights", "none", "--side", "32", "--no-cache", "--epochs", "1", "--device", "cpu")
FILES = ("--formats", "torchscript", "onnx", "--precisions", "fp32", "--seconds", "0.1")


@pytest.mark.slow
def test_networks_are_compared_on_one_page(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    ask = ["compare", str(drawn), "--out", str(out), "--seeds", "1", *FLAGS, *FILES]
    ask += ["--models", "mobilevitv2_050", "mobilenetv3_small_050"]
    assert cli.main(ask) == 0
    said = capsys.readouterr().out
    assert "Take " in said and f"page: {out / 'compare.html'}" in said
    document = json.loads((out / "compare.json").read_text())
    for entry in document["entries"]:
        scores = json.loads((out / f"{entry['value']}-0" / "test.json").read_text())
        assert entry["scores"]["weighted F1, test"]["mean"] == scores["weighted_f1"]
        assert [(f["format"], f["status"]) for f in entry["files"]] == [
            ("torchscript", "pass"),
            ("onnx", "pass"),
        ]
        assert all(file["ms"] > 0 for file in entry["files"])
    assert not document["failures"]
    page = (out / "compare.html").read_text()
    assert "mobilenetv3_small_050" in page and "data:image/png;base64," in page
    assert len((out / "compare.csv").read_text().splitlines()) == 1 + 4
    assert "best" in (out / "mobilevitv2_050-0.log").read_text()

    before = {file: file.stat().st_mtime_ns for file in kept(out)}
    assert len(before) == 2 + 4 + 1
    assert cli.main(ask) == 0  # nothing to do
    assert {file: file.stat().st_mtime_ns for file in kept(out)} == before
    assert "(and .md, .csv, .json, .png)" in capsys.readouterr().out
    assert cli.main([*ask, "--no-files"]) == 0  # the picture of before would belong to no page
    assert "(and .md, .csv, .json)" in capsys.readouterr().out
    assert not (out / "compare.png").exists() and {*kept(out)} == {*before}
    assert cli.main([*ask, "--lr", "0.1"]) == 2
    assert "other settings (lr)" in capsys.readouterr().err


def kept(out: Path) -> list[Path]:
    """What a second call must not make again."""
    patterns = (WEIGHTS, "*.onnx", "*.ptl", "latency.json")
    return sorted({file for pattern in patterns for file in out.rglob(pattern)})


@pytest.mark.slow
def test_a_setting_is_compared_without_files(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ["compare", str(drawn), "--out", str(tmp_path / "out"), "--seeds", "2", *FLAGS]
    ask += ["--model", "mobilevitv2_050", "--vary", "imbalance", "--values", "none", "dual"]
    assert cli.main([*ask, "--no-files", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    for entry in document["entries"]:
        assert entry["files"] == [] and entry["seeds"] == 2
        assert entry["scores"]["macro F1, test"]["spread"] is not None


@pytest.mark.slow
def test_one_network_that_fails_does_not_stop_the_others(
    run: Path, drawn: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken-0"
    broken.mkdir()
    for file in run.iterdir():
        if file.is_file():
            (broken / file.name).write_bytes(file.read_bytes())
    content = bytearray((broken / WEIGHTS).read_bytes())
    content[-4000:] = b"\xff" * 4000  # NaN in the last tensors
    (broken / WEIGHTS).write_bytes(content)
    config = CompareConfig(models=("a", "b"), formats=("onnx", "tflite"), precisions=("fp32",))
    good = tmp_path / "good-0"
    good.symlink_to(run)
    refused = {"good": ["tflite: planted"], "broken": []}
    out = tmp_path / "out"
    out.mkdir()
    made = make_files(drawn, {"broken": broken, "good": good}, config, refused, out)
    assert made["broken"].report is None
    assert "not finite" in made["broken"].failed[0] and "broken.log" in made["broken"].failed[0]
    report = made["good"].report
    assert report and [row["format"] for row in report["rows"]] == ["onnx"]
    assert made["good"].failed == ("tflite: planted",)
    assert (made["good"].parameters or 0) > 1_000_000
