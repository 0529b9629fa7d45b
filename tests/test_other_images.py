"""Images of another kind, with another network: handwritten digits, without a word about skin."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import lesionlite
from lesionlite.contract import Contract
from lesionlite.export.config import ExportConfig
from lesionlite.layout import CONTRACT
from lesionlite.mobile_app_stub.embed import embed
from lesionlite.train.config import TrainConfig

WORDS = (b"medical", b"skin", b"diagnos", b"Melanoma", b"mole")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of scikit-learn's digits, 8 x 8 pixels each."""
    folder, found = tmp_path_factory.mktemp("digits"), load_digits()
    for index, (image, label) in enumerate(zip(found.images, found.target, strict=True)):
        split = ("test", "val", *["train"] * 8)[index % 10]
        place = folder / split / f"digit {label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15.9).astype(np.uint8)).save(place / f"{index}.png")
    return folder


@pytest.mark.slow
def test_digits_become_an_app(digits: Path, tmp_path: Path) -> None:
    config = TrainConfig(
        model="mobilenetv3_small_050",
        weights="none",
        side=32,
        epochs=3,
        batch=32,
        lr=5e-3,
        imbalance="none",
        bf16="off",
        cache=False,
    )
    lesionlite.train(digits, tmp_path / "run", config)
    contract = Contract.read(tmp_path / "run" / CONTRACT)
    assert contract.disclaimer == contract.note == "" and len(contract.labels) == 10
    assert contract.mean == (0.485, 0.456, 0.406) and contract.interpolation == "bicubic"
    formats = ExportConfig(("onnx", "tflite"), ("fp32",))
    lesionlite.export(tmp_path / "run", tmp_path / "files", formats)
    model = lesionlite.load(tmp_path / "files" / "mobilenetv3_small_050-fp32.onnx")
    images = sorted((digits / "test").rglob("*.png"))
    answers = model.predict(images).argmax(1)
    truth = [contract.labels.index(file.parent.name) for file in images]
    assert np.mean(answers == truth) > 0.3  # by chance, 0.1
    embed(tmp_path / "files", "web", tmp_path / "app", "fp32")
    for folder in ("run", "files", "app"):
        for file in (tmp_path / folder).rglob("*"):
            if file.is_file() and file.suffix not in (".png", ".jpg", ".md"):
                content = file.read_bytes()
                assert not [word for word in WORDS if word in content], file
