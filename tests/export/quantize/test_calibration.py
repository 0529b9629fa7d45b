import shutil
from pathlib import Path

import pytest

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.config import ExportConfig
from lesionlite.export.quantize.calibration import calibration_images, choose
from lesionlite.layout import CONTRACT
from lesionlite.train.data.splits import Split


def test_calibration_images_are_stratified_seeded_and_distinct() -> None:
    files = tuple(Path(f"{index:03}") for index in range(110))
    split = Split(files, (0,) * 100 + (1,) * 10, ("a", "b"))
    chosen = choose(split, 40, seed=3)
    assert chosen == choose(split, 40, seed=3) != choose(split, 40, seed=4)
    assert len(set(chosen)) == 40
    assert sum(file.name >= "100" for file in chosen) == 10
    assert choose(split, 999, seed=0) == list(files)


@pytest.fixture
def contract(run: Path) -> Contract:
    return Contract.read(run / CONTRACT)


def test_images_come_with_their_names(drawn: Path, contract: Contract) -> None:
    pixels, names = calibration_images(ExportConfig(calibration=14), contract, drawn)
    assert pixels.shape == (14, contract.side, contract.side, 3)
    assert len(names) == 14 and all((drawn / name).is_file() for name in names)
    assert all(name.startswith("train/") for name in names)


def test_no_folder_and_too_few_images_are_refused(
    drawn: Path, contract: Contract, tmp_path: Path
) -> None:
    with pytest.raises(LesionliteError, match="add --data FOLDER"):
        calibration_images(ExportConfig(), contract, None)
    with pytest.raises(LesionliteError, match="--calibration asks for 9 images .* give 10 or more"):
        calibration_images(ExportConfig(calibration=9), contract, drawn)
    label = contract.labels[0]
    (tmp_path / "train" / label).mkdir(parents=True)
    for file in sorted((drawn / "train" / label).iterdir())[:3]:
        shutil.copy(file, tmp_path / "train" / label)
    with pytest.raises(LesionliteError, match="train/ has only 3 images"):
        calibration_images(ExportConfig(), contract, tmp_path)


def test_a_test_image_under_another_name_is_refused(
    drawn: Path, contract: Contract, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(drawn, data)
    label = contract.labels[0]
    leaked = next((data / "test" / label).iterdir())
    shutil.copy(leaked, data / "train" / label / "other-name.png")
    with pytest.raises(LesionliteError, match="other-name.png .* same image as .*remove it"):
        calibration_images(ExportConfig(calibration=999), contract, data)
