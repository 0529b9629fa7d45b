import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lesionlite import cli
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.diff import EXACT, Difference, decibels, diff, match
from tests.export.test_gates import layer_of_zeros, spoil

# Between float32 files' layers (90 dB and more) and what a fault leaves; a network trained for two
# epochs can hardly tell images apart, so its probabilities come within 10 dB of the right ones.
STRICT = 40.0


@pytest.fixture(scope="module")
def files(drawn: Path) -> list[Path]:
    return sorted((drawn / "test").rglob("*.png"))[::60]


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("fp32.onnx", 90),
        ("fp32.tflite", 90),
        ("fp32.mlpackage", 90),
        ("fp16.onnx", 30),
        ("w8a8.onnx", 5),
        ("w8a8.tflite", 1),  # its convolutions include the ReLU that follows `value`
        ("w8.mlpackage", 10),
    ],
)
def test_layers_are_found_by_what_they_hold(
    name: str, least: float, artifacts: Path, run: Path, files: list[Path]
) -> None:
    found = diff(run, artifacts / f"mobilevitv2_050-{name}", files, 0.0)
    ratios = {layer.name: layer.sqnr for layer in found.layers if layer.sqnr is not None}
    assert len(ratios) > 0.9 * len(found.layers) > 100
    assert min(ratios.values()) > least and not found.first_divergence
    assert found.layers[-1].name == "probabilities" and found.images == len(files)
    assert ratios["stem.conv"] > ratios["head"] or least == 90  # noise adds up


def test_the_layer_with_the_fault_is_named(
    artifacts: Path, run: Path, files: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "mobilevitv2_050-fp32.onnx"
    shutil.copy(artifacts / bad.name, bad)
    spoil(bad, layer_of_zeros)
    found = diff(run, bad, files, STRICT)
    assert found.first_divergence == "blocks.8.conv_proj"
    before = sqnr(found, "blocks.8.norm")
    assert before > 90 and sqnr(found, "blocks.8.conv_proj") < 1


def sqnr(found: Difference, name: str) -> float:
    (ratio,) = (layer.sqnr for layer in found.layers if layer.name == name)
    assert ratio is not None
    return ratio


def test_two_files_compare_too(artifacts: Path, files: list[Path]) -> None:
    names = ("mobilevitv2_050-fp32.onnx", "mobilevitv2_050-fp32.mlpackage")
    found = diff(*(artifacts / name for name in names), files[:1], 20.0)
    assert not found.first_divergence and sqnr(found, "probabilities") > 90


def test_matching_keeps_the_order_and_ignores_the_layout() -> None:
    generator = np.random.default_rng(0)
    a, b, c = (generator.normal(size=(1, 3, 4, 4)).astype(np.float32) for _ in range(3))
    mine = {"a": a, "b": b, "gone": generator.normal(size=(1, 7)).astype(np.float32), "c": c}
    theirs = {
        "stray": generator.normal(size=(1, 4, 4, 3)).astype(np.float32),
        "A": a.transpose(0, 2, 3, 1),
        "B": b + 0.1,
        "C": c.transpose(0, 2, 3, 1),
    }
    found = match(mine, theirs)
    assert {name: other for name, (other, _) in found.items()} == {"a": "A", "b": "B", "c": "C"}
    assert match({"b": b, "a": a}, {"A": a, "B": b}).keys() != {"a", "b"}  # never crosswise


def test_decibels() -> None:
    assert decibels(100.0, 1.0) == pytest.approx(20)
    assert decibels(1.0, 0.0) == EXACT and decibels(0.0, 1.0) == decibels(1.0, np.nan) == -EXACT


def test_the_command_tells_programs_and_people(
    artifacts: Path,
    run: Path,
    files: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = tmp_path / "mobilevitv2_050-fp32.onnx"
    shutil.copy(artifacts / bad.name, bad)
    spoil(bad, layer_of_zeros)
    command = ["diff", str(run), str(bad), str(files[0]), "--threshold", str(STRICT)]
    assert cli.main(command) == 1
    said = capsys.readouterr().out
    assert "They differ from blocks.8.conv_proj on: below 40 dB." in said
    assert "blocks.8.norm" in said and "blocks.0.conv1_1x1.conv" not in said
    assert cli.main([*command, "--all", "--json"]) == 1
    streams = capsys.readouterr()
    assert json.loads(streams.out)["first_divergence"] == "blocks.8.conv_proj"
    assert "blocks.0.conv1_1x1.conv" in streams.err


def test_what_cannot_be_compared_is_said(
    artifacts: Path, run: Path, files: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(LesionliteError, match=r"hides .* of these kinds: .onnx, .tflite, .mlp"):
        diff(run, artifacts / "mobilevitv2_050-fp32.pte", files, 10.0)
    with pytest.raises(LesionliteError, match="no image is named"):
        diff(run, artifacts / "mobilevitv2_050-fp32.onnx", [], 10.0)
    other = tmp_path / "run"
    shutil.copytree(run, other)
    contract = json.loads((other / "contract.json").read_text())
    (other / "contract.json").write_text(json.dumps({**contract, "temperature": 2.0}))
    with pytest.raises(LesionliteError, match="different contracts"):
        diff(other, artifacts / "mobilevitv2_050-fp32.onnx", files, 10.0)
