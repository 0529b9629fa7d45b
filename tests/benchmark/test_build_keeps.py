"""What a build keeps, moves aside and refuses first. The later steps are left out, for speed."""

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lesionlite import outputs
from lesionlite.benchmark import build as module
from lesionlite.benchmark.build import build
from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.errors import LesionliteError
from lesionlite.export.config import ExportConfig
from lesionlite.export.verify import verify
from lesionlite.files import sha256_file
from lesionlite.layout import SCORES, SETTINGS, WEIGHTS
from lesionlite.train.config import TrainConfig
from lesionlite.train.results import train_and_test

HOW = TrainConfig(
    model="mobilevitv2_050", weights="none", side=32, epochs=0, batch=4, bf16="off", cache=False
)
FLOAT = ExportConfig(formats=("onnx",), precisions=("fp32",))
INTEGER = ExportConfig(formats=("onnx",), precisions=("w8a8",))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes of noise: 10 images for training, 2 for each of the others."""
    rng = np.random.default_rng(0)
    for split, number in (("train", 10), ("val", 2), ("test", 2)):
        for label in ("a", "b"):
            folder = tmp_path / "data" / split / label
            folder.mkdir(parents=True)
            for index in range(number):
                pixels = rng.integers(0, 255, (40, 40, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return tmp_path / "data"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def only_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_export", lambda *a: None)
    monkeypatch.setattr(module, "_benchmark", lambda *a: {})


def runs(out: Path) -> dict[str, str]:
    """Hash of the weights of every run in a folder."""
    found = sorted(out.glob("run*"))
    return {path.name: sha256_file(path / WEIGHTS) for path in found}


@pytest.mark.slow
@pytest.mark.usefixtures("only_training")
def test_a_finished_run_is_kept_though_steps_and_versions_change(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build(out, data, training=HOW, exporting=FLOAT)
    first, made = runs(out), (out / "run" / WEIGHTS).stat().st_mtime_ns
    (out / "steps.json").write_text("[1, ")
    monkeypatch.setattr(module, "versions", lambda: {"numpy": "99"})
    capsys.readouterr()
    build(out, data, training=HOW, exporting=FLOAT)
    said = " ".join(capsys.readouterr().out.split())
    assert "steps.json is damaged" in said and "every step is checked again" in said
    assert "inputs unchanged, kept" in said
    assert runs(out) == first and (out / "run" / WEIGHTS).stat().st_mtime_ns == made


@pytest.mark.slow
@pytest.mark.usefixtures("only_training")
def test_a_finished_run_whose_inputs_changed_is_moved_aside(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_and_test(data, out / "run", HOW)  # by `train`, not by a build
    first = runs(out)["run"]
    build(out, data, training=replace(HOW, seed=1), exporting=FLOAT)
    assert "it is kept as" in " ".join(capsys.readouterr().out.split())
    second = runs(out)
    assert len(second) == 2 and second.pop("run") != first and [*second.values()] == [first]
    shutil.copy(data / "val" / "a" / "0.png", data / "train" / "a" / "new.png")
    build(out, data, training=replace(HOW, seed=1), exporting=FLOAT)
    assert len(runs(out)) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("only_training")
def test_another_test_image_does_not_retrain_but_scores_anew(data: Path, out: Path) -> None:
    build(out, data, training=HOW, exporting=FLOAT)
    first, scores = runs(out), (out / "run" / SCORES).read_text()
    (data / "test" / "a" / "1.png").unlink()
    build(out, data, training=HOW, exporting=FLOAT)
    assert runs(out) == first and (out / "run" / SCORES).read_text() != scores


@pytest.mark.slow
@pytest.mark.usefixtures("only_training")
def test_an_image_left_out_does_not_retrain(data: Path, out: Path) -> None:
    (data / "train" / "a" / "bad.png").write_bytes(b"no image")
    lenient = replace(HOW, skip_bad=True)
    build(out, data, training=lenient, exporting=FLOAT)
    first = runs(out)
    build(out, data, training=lenient, exporting=FLOAT)
    assert runs(out) == first


def refused(data: Path, out: Path, said: str, **settings: Any) -> None:
    """A build is refused, and nothing is trained or left for it."""
    before = sorted(out.rglob("*")) if out.exists() else None
    settings = {"training": HOW, "exporting": FLOAT, **settings}
    with pytest.raises(LesionliteError, match=said):
        build(out, data, **settings)
    assert (sorted(out.rglob("*")) if out.exists() else None) == before


def test_a_copy_of_a_test_image_is_refused_before_training(data: Path, out: Path) -> None:
    shutil.copy(data / "test" / "b" / "0.png", data / "train" / "b" / "copy.png")
    refused(data, out, "copy.png .* same image as .*test/b/0.png", exporting=INTEGER)


@pytest.mark.parametrize(
    ("said", "settings"),
    [
        ("--calibration asks for 3 images", {"exporting": replace(INTEGER, calibration=3)}),
        ("no artifact 'x'", {"benchmarking": BenchmarkConfig(allow_unverified=("x",))}),
        ("no class 'c'", {"benchmarking": BenchmarkConfig(min_recall=("c=0",))}),
        ("no Arm core 'm1'", {"benchmarking": BenchmarkConfig(arm=("m1",))}),
        ("there is no x; --android", {"benchmarking": BenchmarkConfig(android=Path("x"))}),
        ("--strict: 4 test images are too few", {"benchmarking": BenchmarkConfig(strict=True)}),
    ],
)
def test_what_a_later_step_refuses_is_refused_before_training(
    data: Path, out: Path, said: str, settings: dict[str, Any]
) -> None:
    refused(data, out, said, **settings)


def test_a_toolchain_that_is_missing_is_refused_before_training(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lesionlite.export.formats.find_spec", lambda name: None)
    refused(data, out, "onnx files need packages that are not installed")


def test_a_run_of_other_classes_is_refused_before_the_export(
    data: Path, out: Path, tmp_path: Path
) -> None:
    train_and_test(data, tmp_path / "run", HOW)
    (data / "train" / "b").rename(data / "train" / "c")
    (data / "test" / "b").rename(data / "test" / "c")
    refused(data, out, "does not know: c", run=tmp_path / "run")


def test_test_images_that_cannot_be_decoded_are_refused_before_the_export(
    data: Path, out: Path, tmp_path: Path
) -> None:
    train_and_test(data, tmp_path / "run", HOW)
    (data / "test" / "a" / "bad.png").write_bytes(b"no image")
    refused(data, out, "cannot be decoded", run=tmp_path / "run")


@pytest.mark.parametrize(
    "name", ["run/night", "artifacts/thesis.pdf", "report.md", "steps.json", "MODEL_CARD.md"]
)
def test_the_users_things_in_out_are_refused_before_training(
    data: Path, out: Path, name: str
) -> None:
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("mine")
    refused(data, out, name.split("/")[0])
    assert (out / name).read_text() == "mine"


def test_outputs_and_inputs_do_not_lie_in_each_other(data: Path, out: Path, tmp_path: Path) -> None:
    for place in (data, data / "train" / "out", data.parent):
        with pytest.raises(LesionliteError, match="choose another --out"):
            build(place, data, training=HOW)
    train_and_test(data, tmp_path / "run", HOW)
    for place in (tmp_path / "run", tmp_path / "run" / "out"):
        with pytest.raises(LesionliteError, match="the RUN that is read"):
            build(place, data, run=tmp_path / "run", exporting=FLOAT)


@pytest.mark.usefixtures("only_training")
def test_a_builds_own_run_may_be_given_to_it(data: Path, out: Path) -> None:
    train_and_test(data, out / "run", HOW)
    first = runs(out)
    build(out, data, run=out / "run", exporting=FLOAT)
    assert runs(out) == first


@pytest.mark.slow
def test_a_second_build_into_the_folder_is_refused_and_nothing_mixes(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["--model", HOW.model, "--weights", "none", "--side", "32", "--epochs", "0"]
    flags += ["--batch", "4", "--formats", "onnx", "--precisions", "fp32", "--no-cache"]
    flags += ["--queries", "4", "--seconds", "0.05", "--threads", "1", "--bf16", "off"]
    command = [sys.executable, "-m", "lesionlite", "build", str(data), "--out", str(out), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as first:
        while not (out / "run" / SETTINGS).exists():
            assert first.poll() is None
            time.sleep(0.05)
        monkeypatch.setattr(outputs, "WAIT", 0.1)
        with pytest.raises(LesionliteError, match="another lesionlite is writing into"):
            build(out, data, training=replace(HOW, seed=1), exporting=FLOAT)
        said, _ = first.communicate()
    assert first.returncode == 0, said
    assert list(runs(out)) == ["run"] and verify(out / "artifacts").passed
