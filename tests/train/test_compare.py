import json
from dataclasses import asdict
from pathlib import Path

import pytest

from lesionlite.errors import LesionliteError
from lesionlite.train.trials.compare import Compare, compared, main
from tests.conftest import TINY


def test_the_table_holds_mean_and_spread() -> None:
    table = compared("ema", {"0": [{"F1": 0.5}, {"F1": 0.7}], "0.9": [{"F1": 0.8}]})
    assert table.columns == ("ema", "seeds", "F1", "± F1")
    assert table.rows[0] == ("0", 2, pytest.approx(0.6), pytest.approx(0.1 * 2**0.5))
    assert table.rows[1] == ("0.9", 1, 0.8, None)


def test_a_plan_varies_one_setting_and_the_seed(tmp_path: Path) -> None:
    plan = Compare(
        tmp_path, tmp_path, "label-smoothing", ("0", "0.1"), 2, training=asdict(TINY)
    ).plan()
    assert [path.name for path in plan] == ["0-0", "0.1-0", "0-1", "0.1-1"]
    assert [c.label_smoothing for c in plan.values()] == [0, 0.1, 0, 0.1]
    assert [c.seed for c in plan.values()] == [0, 0, 1, 1]
    plan = Compare(tmp_path, tmp_path, "cache", ("True", "False"), 1, training=asdict(TINY)).plan()
    assert [c.cache for c in plan.values()] == [True, False]
    with pytest.raises(LesionliteError, match="did you mean 'imbalance'"):
        Compare(tmp_path, tmp_path, "imbalanc", ("none",)).plan()
    with pytest.raises(LesionliteError, match="'often'; choose from: dual, sampler"):
        Compare(tmp_path, tmp_path, "imbalance", ("often",)).plan()


@pytest.mark.slow
def test_runs_are_trained_once(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    flags = ["--model", "mobilevitv2_050", "--weights", "none", "--side", "32", "--no-cache"]
    ask = [str(drawn), "--out", str(out), "--vary", "imbalance", "--seeds", "1", *flags]
    ask += ["--values", "none", "dual", "--epochs", "1", "--device", "cpu"]
    assert main(ask) == 0
    said = capsys.readouterr().out
    weights = {file: file.stat().st_mtime_ns for file in out.rglob("model.safetensors")}
    assert len(weights) == 2 and "| none | 1 |" in said and "next: lesionlite build" in said
    scores = json.loads((out / "dual-0" / "test.json").read_text())
    row = json.loads((out / "tables.json").read_text())["compare"]["rows"][1]
    assert row["weighted F1"] == scores["weighted_f1"]
    assert "best" in (out / "dual-0.log").read_text()

    assert main(ask) == 0  # nothing to do
    assert {file: file.stat().st_mtime_ns for file in weights} == weights
    assert main([*ask, "--lr", "0.1"]) == 2
    assert "other settings (lr)" in capsys.readouterr().err
