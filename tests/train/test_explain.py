import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import lesionlite
from lesionlite import cli
from lesionlite.contract import Contract
from lesionlite.outputs import MARK
from lesionlite.train.explain import explain, heat_map
from tests.test_cli import sentence

CONTRACT = Contract(labels=("red", "blue"), side=32)


class Colours(nn.Module):
    """A network whose evidence is known: red speaks for the first class, blue for the second."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.AvgPool2d(4)
        self.elsewhere = nn.AvgPool2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.elsewhere(x.flip(-1))
        return self.layer(x).mean((2, 3))[:, (0, 2)] * 10


def corners() -> np.ndarray:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:8, :8, 0] = 255
    pixels[24:, 24:, 2] = 200
    return pixels


@pytest.mark.parametrize(("target", "place"), [(0, (4, 4)), (1, (28, 28)), (None, (4, 4))])
def test_the_heat_lies_where_the_evidence_is(target: int | None, place: tuple[int, int]) -> None:
    network = Colours().eval()
    heat, probabilities, explained = heat_map(network, network.layer, corners(), CONTRACT, target)
    assert heat.shape == (32, 32) and heat.max() == pytest.approx(1) and heat.min() == 0
    assert heat[place] > 0.9 and heat[31 - place[0], 31 - place[1]] < 0.1
    assert probabilities.sum() == pytest.approx(1) and explained == (target or 0)


def test_a_layer_that_the_answer_does_not_use_is_no_evidence() -> None:
    network = Colours().eval()
    with pytest.raises(RuntimeError, match="not have been used"):
        heat_map(network, network.elsewhere, corners(), CONTRACT, 0)


def test_a_folder_is_explained(run: Path, drawn: Path, tmp_path: Path) -> None:
    folder = next(path for path in sorted((drawn / "test").iterdir()) if any(path.iterdir()))
    made = explain(run, [folder], tmp_path / "out")
    document = json.loads((tmp_path / "out" / "explanations.json").read_text())
    assert len(made) == len(list(folder.iterdir())) == len(document["images"])
    assert "drawn" in document["note"]
    answers = lesionlite.load(run).predict([row.image for row in made])
    for row, answer in zip(made, answers, strict=True):
        assert Path(row.picture).stat().st_size > 5000
        assert row.answer == row.label == lesionlite.load(run).contract.labels[answer.argmax()]
        assert row.probability == pytest.approx(answer.max(), abs=1e-5)


def test_the_command(
    run: Path, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next((drawn / "test").rglob("*.png"))
    out = tmp_path / "out"
    arguments = ["explain", str(run), str(image), "--out", str(out), "--label", "Melanoma"]
    assert cli.main(arguments) == 0
    assert "Melanoma" in capsys.readouterr().out
    assert {f.name for f in out.iterdir()} == {image.name + ".png", "explanations.json", MARK}


def test_wrong_things(
    run: Path, artifacts: Path, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next((drawn / "test").rglob("*.png"))

    def said(model: Path, *rest: object) -> str:
        return sentence(capsys, "explain", model, *rest, "--out", tmp_path / "out")

    assert "name the run" in said(artifacts / "mobilevitv2_050-fp32.onnx", image)
    assert "Vascular lesions" in said(run, image, "--label", "Wart")
    assert "stages.3" in said(run, image, "--layer", "head")
    assert "no image to explain" in said(run, tmp_path)
    assert "there is no image" in said(run, tmp_path / "x.png")
    assert not (tmp_path / "out").exists()
