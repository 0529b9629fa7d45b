"""Tables of many networks: what is right is kept, and a wrong file or a crash shows."""

import csv
import json
import sys
from pathlib import Path

import pytest

from lesionlite.benchmark import networks
from lesionlite.benchmark.networks import main

SMALL, TINY = "mobilenetv3_small_050", "test_resnet"
WRONG = f"""
import sys
import numpy as np
from lesionlite import cli
from lesionlite.export.writers import to_onnx
from lesionlite.export.format import Runner
right = to_onnx.load
def wrong(path, threads):
    runner = right(path, threads)
    return Runner(lambda image: np.roll(runner.classify(image), 1), runner.runtime)
if "{TINY}" in sys.argv:
    to_onnx.load = wrong
sys.exit(cli.main(["check", *sys.argv[1:]]))
"""
CRASH = """
import os, sys
from lesionlite import cli
if "onnx" in sys.argv:
    os.abort()
sys.exit(cli.main(["check", *sys.argv[1:]]))
"""


def planted(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(networks, "COMMAND", (sys.executable, "-c", code))


@pytest.mark.slow
def test_a_wrong_file_shows_and_the_rest_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    ask = [SMALL, TINY, "--out", str(out), "--side", "64", "--formats", "onnx", "torchscript"]
    with monkeypatch.context() as patched:
        planted(patched, WRONG)
        assert main(ask) == 1
    text = (out / "networks.md").read_text()
    assert text.strip() in capsys.readouterr().out
    assert f"- {TINY}, ONNX fp32: wrong. a probability is off by" in text
    (row,) = [r for r in text.splitlines() if r.startswith(f"| {TINY} |") and "e-" in r]
    assert "**wrong** " in row.split("|")[3] and ", 16/16" in row.split("|")[2]
    before = (out / "checks" / f"{SMALL}.json").stat().st_mtime_ns

    assert main([*ask, "--json"]) == 0  # only the wrong file is tried again
    assert (out / "checks" / f"{SMALL}.json").stat().st_mtime_ns == before
    found = json.loads((out / "networks.json").read_text())
    assert found == json.loads(capsys.readouterr().out)
    assert [one["model"] for one in found["networks"]] == [SMALL, TINY]
    with (out / "networks.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4 and {row["outcome"] for row in rows} == {"right"}
    assert "Not right" not in (out / "networks.md").read_text()

    assert main([*ask[:-4], "96"]) == 2
    assert "of --side 64, not 96" in capsys.readouterr().err


@pytest.mark.slow
def test_a_crash_is_laid_to_its_format(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, CRASH)
    pairs = [("onnx", "fp32"), ("torchscript", "fp32")]
    found = networks.check_apart(TINY, 64, pairs)
    assert {row.format: row.outcome for row in found.formats} == {
        "onnx": "crashed",
        "torchscript": "right",
    }
    assert "exit code -6" in found.formats[0].sentence and found.parameters > 0


def test_a_network_that_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["mobilenetv9", "--out", str(out)]) == 2
    assert "timm has no model 'mobilenetv9'" in capsys.readouterr().err
    assert not out.exists()
    assert main(["--out", str(out)]) == 2
    assert "name one or more networks" in capsys.readouterr().err
