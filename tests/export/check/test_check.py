"""`lesionlite check`: what a network gives, and that a planted fault of a format shows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lesionlite
from lesionlite import cli
from lesionlite.benchmark.build import build
from lesionlite.errors import LesionliteError
from lesionlite.export.check.network import check_network, refuse_unfit
from lesionlite.export.check.simulated import limit, simulate
from lesionlite.export.check.untrained import untrained
from lesionlite.export.config import ExportConfig
from lesionlite.export.format import Runner
from lesionlite.export.forms.table import mobile_form
from lesionlite.export.writers import to_onnx
from lesionlite.train.config import TrainConfig

MODEL = "mobilenetv3_small_050"


def test_a_network_is_converted_and_compared() -> None:
    found = check_network(MODEL, 64, ("torchscript", "onnx"))
    assert found.passed and (found.model, found.side) == (MODEL, 64)
    assert [row.format for row in found.formats] == ["torchscript", "onnx"]
    for row in found.formats:
        assert row.outcome == "right" and row.max_dp is not None and row.max_dp < 1e-4
        assert row.size_bytes is not None and row.size_bytes > 4 * 0.9 * found.parameters
    assert 0.9 < sum(found.layers.values()) / found.macs < 1  # all but the last layer
    assert found.floats["Hardswish"] > 10 and "classifier" not in found.layers


def test_precisions_and_what_xnnpack_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = lesionlite.check(MODEL, 64, ("onnx", "executorch"), ("w8", "w8a8"))
    rows = {(row.format, row.precision): row for row in found.formats}
    assert list(rows) == [("onnx", "w8"), ("onnx", "w8a8"), ("executorch", "w8a8")]
    assert found.passed and rows["onnx", "w8"].simulated is None
    for (_, precision), row in rows.items():
        assert row.images == 16 and row.kept is not None and row.kept >= 8
        assert row.max_dp is not None and 1e-4 < row.max_dp < 0.8
        assert (row.simulated is None) == (precision == "w8")
    split = rows["executorch", "w8a8"].partitions
    assert split is not None and split.delegate == "XnnpackBackend"
    assert len(split.operators) == 1 and split.operators[0] > len(found.layers)
    assert "aten::_to_copy" in split.kernels  # pixels become floats
    assert rows["onnx", "w8a8"].partitions is None

    def never(*_: Any) -> Runner:
        return Runner(lambda image: np.full(14, np.nan, np.float32), "broken")

    monkeypatch.setattr(to_onnx, "load", never)
    flags = ["--side", "64", "--formats", "onnx", "--precisions", "w8"]
    assert cli.main(["check", MODEL, *flags]) == 1
    assert "onnx w8: an answer is not finite" in capsys.readouterr().out


def test_a_wrong_file_and_a_refusal_show(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = to_onnx.load

    def wrong(path: Path, threads: int) -> Runner:
        runner = right(path, threads)
        return Runner(lambda image: np.roll(runner.classify(image), 1), runner.runtime)

    monkeypatch.setattr(to_onnx, "load", wrong)
    assert cli.main(["check", MODEL, "--side", "64", "--formats", "onnx", "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)["formats"]
    assert row["outcome"] == "wrong" and "a probability is off by" in row["sentence"]

    def refuse(*_: Any) -> None:
        raise NotImplementedError("No converter for aten.thing\nand a traceback")

    monkeypatch.setattr(to_onnx, "_export", refuse)
    with pytest.raises(LesionliteError) as caught:
        refuse_unfit(MODEL, 64, ["onnx"])
    assert "cannot be exported to onnx: NotImplementedError: No converter for aten.thing" in str(
        caught.value
    )


def test_build_says_the_same_before_training(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise NotImplementedError("No converter for aten.thing")

    monkeypatch.setattr(to_onnx, "_export", refuse)
    training = TrainConfig(model=MODEL, weights="none", side=64)
    with pytest.raises(LesionliteError, match="cannot be exported to onnx: .*aten.thing"):
        build(tmp_path / "out", drawn, training=training, exporting=ExportConfig(("onnx",)))
    assert not (tmp_path / "out" / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mobilenetv9"], "timm has no model 'mobilenetv9'"),
        ([MODEL, "--side", "8"], "--side is 8; it must be 0, or from 32"),
        ([MODEL, "--formats", "onx"], "did you mean 'onnx'"),
        ([MODEL, "--precisions", "int8"], "choose w8 (weights) or w8a8"),
        ([MODEL, "--formats", "onnx", "--precisions", "w4"], "nothing to make for"),
        (["inception_v4", "--side", "32"], "cannot classify RGB images of 32 x 32"),
    ],
)
def test_wrong_choices_get_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("model", ["mobileone_s0", "repvit_m0_9"])
def test_values_stay_as_small_as_those_of_trained_networks(model: str) -> None:
    source, images, answers = untrained(model, 64)
    assert np.ptp(answers, axis=0).max() > 0.1  # so that a file which ignores the image is found
    form: Any = mobile_form(source.network, source.contract)
    largest: dict[str, float] = {}
    for name, layer in form.named_modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(
                lambda _, __, out, name=name: largest.update({name: float(out.abs().max())})
            )
    form(torch.from_numpy(images))
    assert len(largest) > 20 and max(largest.values()) < 1000  # float16 ends at 65,504


def test_a_difference_is_right_up_to_what_the_weights_amplify() -> None:
    assert limit("fp32", moved=0.5) == 0.001  # a converter's fault shows there, always
    assert (limit("fp16", 0.0), limit("w8", 0.0), limit("w8a8", 0.3)) == (0.05, 0.1, 0.6)
    source, images, _ = untrained(MODEL, 64)
    form = mobile_form(source.network, source.contract)
    assert simulate(form, None, images)[1] > 0.01
    still, still_images, _ = untrained(MODEL, 64, least_variance=1.0)
    assert simulate(mobile_form(still.network, still.contract), None, still_images)[1] < 0.001
