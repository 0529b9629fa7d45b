"""`lesionlite prepare` on folders laid out as the collections are downloaded."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from lesionlite.errors import LesionliteError
from lesionlite.train.data.prepare import SPLITS, PrepareConfig, prepare
from lesionlite.train.data.rows import HAM_TABLE, ISIC_TABLE, ISIC_TRUTH
from tests.train.data.test_prepare import (
    SHARED,
    assert_no_crossing,
    draw,
    make_isic,
    real_data,
    table,
    written,
)

HAM_HEADER = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
HAM_ROWS = [
    (f"HAM_000{i // 2}", f"ISIC_002{i}", dx, "histo", "80.0", "male", "scalp")
    for i, dx in enumerate(["bkl"] * 6 + ["nv"] * 6)
]


def write_tabs(path: Path) -> None:
    """As Dataverse's own copy of a table is: tabs, and text in quotes."""
    lines = ["\t".join(HAM_HEADER)]
    lines += ["\t".join(f'"{field}"' for field in row) for row in HAM_ROWS]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def ham(tmp_path: Path) -> Path:
    """Without its table."""
    for i, row in enumerate(HAM_ROWS):
        draw(tmp_path / "ham" / f"HAM10000_images_part_{1 + i % 2}" / f"{row[1]}.jpg")
    return tmp_path / "ham"


def test_ham_in_two_folders(tmp_path: Path, ham: Path) -> None:
    table(ham / HAM_TABLE, HAM_HEADER, HAM_ROWS)
    # Kaggle's archive holds both folders twice, and tables of small images in figures
    for part in ("part_1", "part_2"):
        shutil.copytree(ham / f"HAM10000_images_{part}", ham / f"ham10000_images_{part}")
    table(ham / "hmnist_8_8_L.csv", ("pixel0000", "label"), [(169, 2)])
    summary = prepare(PrepareConfig(tmp_path / "out", ham10000=ham))
    rows = written(tmp_path / "out")
    assert len(rows) == 12
    assert rows["ISIC_0020.jpg"]["group"] == rows["ISIC_0021.jpg"]["group"] == "HAM_0000"
    assert "12 identical files below --ham10000 ignored" in summary.sentences()
    assert_no_crossing(rows.values())


@pytest.mark.parametrize("name", ["HAM10000_metadata", "HAM10000_metadata.tab"])
def test_ham_of_dataverse(tmp_path: Path, ham: Path, name: str) -> None:
    if name.endswith(".tab"):
        write_tabs(ham / name)
    else:
        table(ham / name, HAM_HEADER, HAM_ROWS)
    draw(ham / "HAM10000_segmentations_lesion_tschandl" / "ISIC_0020_segmentation.png")
    draw(ham / "ISIC2018_Task3_Test_Images" / "ISIC_0034524.jpg")
    summary = prepare(PrepareConfig(tmp_path / "out", ham10000=ham))
    assert Counter(row["class"] for row in written(tmp_path / "out").values()) == {
        "Benign keratosis-like lesions": 6,
        "Melanocytic nevi": 6,
    }
    assert "2 images without a row in its collection's table left out" in summary.sentences()


def test_a_wrong_row_of_a_table_with_tabs(tmp_path: Path, ham: Path) -> None:
    write_tabs(ham / "HAM10000_metadata.tab")
    with (ham / "HAM10000_metadata.tab").open("a") as stream:
        stream.write("HAM_9\tISIC_0099\tnevus\t\t\t\t\n")
    with pytest.raises(LesionliteError, match=r"metadata.tab, line 14: there is no dx 'nevus'"):
        prepare(PrepareConfig(tmp_path / "out", ham10000=ham))


def test_isic_2019_in_its_two_folders(tmp_path: Path) -> None:
    rows = [(f"BCN_{i // 2}", f"ISIC_00{i:02}", "SCC") for i in range(12)]
    rows += [("", f"ISIC_01{i:02}_downsampled", "AK") for i in range(6)]
    isic = make_isic(tmp_path / "isic", rows)
    for _, name, _ in rows:
        folder = isic / "ISIC_2019_Training_Input" / "ISIC_2019_Training_Input"
        draw(folder / f"{name}.jpg")
    (folder / "ATTRIBUTION.txt").write_text("CC BY-NC 4.0")
    summary = prepare(PrepareConfig(tmp_path / "out", isic2019=isic))
    made = written(tmp_path / "out")
    assert len(made) == 18
    assert made["ISIC_0000.jpg"]["group"] == made["ISIC_0001.jpg"]["group"] == "BCN_0"
    assert made["ISIC_0100_downsampled.jpg"]["group"] == "ISIC_0100"
    assert "6 images without a lesion_id: each is a group of its own" in summary.sentences()
    assert_no_crossing(made.values())


@pytest.mark.slow
@real_data
def test_the_full_isic_2019(tmp_path: Path) -> None:
    isic = tmp_path / "isic"
    images = isic / "ISIC_2019_Training_Input" / "ISIC_2019_Training_Input"
    images.mkdir(parents=True)
    for name in (ISIC_TRUTH, ISIC_TABLE):
        shutil.copyfile(SHARED / "data" / "isic2019" / name, isic / name)
    for line in (isic / ISIC_TRUTH).read_text().splitlines()[1:]:
        (images / f"{line.split(',')[0]}.jpg").write_text(line)  # prepare opens no image
    summary = prepare(PrepareConfig(tmp_path / "out", isic2019=isic))
    rows = written(tmp_path / "out")
    assert len(rows) == sum(sum(counts.values()) for counts in summary.counts.values()) == 25_331
    assert sum(name.endswith("_downsampled.jpg") for name in rows) == 2_074
    assert "2,084 images without a lesion_id: each is a group of its own" in summary.sentences()
    assert_no_crossing(rows.values())
    totals = Counter(row["class"] for row in rows.values())
    assert (totals["Melanocytic nevi"], totals["Dermatofibroma"]) == (12_875, 239)
    for name, total in totals.items():
        for split, share in zip(SPLITS, (0.8, 0.1, 0.1), strict=True):
            assert abs(summary.counts[split][name] / total - share) < 0.02
    assert prepare(PrepareConfig(tmp_path / "out", isic2019=isic)).up_to_date


MSLD_FOLDERS = {"Monkeypox": "MKP", "Chickenpox": "CHP", "HFMD": "HFMD", "Healthy": "HEALTHY"}


@pytest.fixture
def msld(tmp_path: Path) -> Path:
    """Five folds of the same photographs, and augmented copies, as Kaggle's archive has them."""
    originals = tmp_path / "msld" / "Original Images" / "Original Images" / "FOLDS"
    augmented = tmp_path / "msld" / "Augmented Images" / "Augmented Images" / "FOLDS_AUG"
    for label, code in MSLD_FOLDERS.items():
        for patient in range(5):
            for index in range(2):
                name = f"{code}_{patient:02}_{index:02}"
                drawn = draw(tmp_path / "drawn" / f"{name}.jpg")
                for fold in range(1, 6):
                    split = {0: "Test", 1: "Valid"}.get((patient + fold) % 5, "Train")
                    target = originals / f"fold{fold}" / split / label / drawn.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(drawn, target)
                    if split == "Train":
                        copies = augmented / f"fold{fold}_AUG" / "Train" / label
                        draw(copies / f"{name}_03.jpg")
                        draw(copies / drawn.name)  # should a copy bear the original's name
    return tmp_path / "msld"


def test_msld_in_folds_with_augmented_copies(tmp_path: Path, msld: Path) -> None:
    summary = prepare(PrepareConfig(tmp_path / "out", msld=msld))
    rows = written(tmp_path / "out")
    assert len(rows) == 40
    assert Counter(row["class"] for row in rows.values()) == dict.fromkeys(MSLD_FOLDERS, 10)
    assert len({row["group"] for row in rows.values()}) == 20
    assert_no_crossing(rows.values())
    said = summary.sentences()
    assert "160 identical files below --msld ignored" in said
    assert "240 augmented files below --msld left out: only originals are prepared" in said


@pytest.mark.parametrize("folder", ["augmented_images", "FOLDS_AUG/Train", "fold3_AUG"])
def test_each_folder_of_augmented_copies_is_known(tmp_path: Path, folder: str) -> None:
    for patient in range(3):
        draw(tmp_path / "msld" / f"MKP_{patient:02}_01.jpg")
    draw(tmp_path / "msld" / folder / "MKP_00_01_07.jpg")
    summary = prepare(PrepareConfig(tmp_path / "out", msld=tmp_path / "msld"))
    assert len(written(tmp_path / "out")) == 3
    assert "1 augmented file below --msld left out: only originals are prepared" in (
        summary.sentences()
    )


@pytest.mark.parametrize("below", ["", "Augmented Images/FOLDS_AUG/fold1_AUG/Train"])
def test_augmented_copies_alone_are_refused(tmp_path: Path, msld: Path, below: str) -> None:
    folder = msld / "Augmented Images" / below
    with pytest.raises(LesionliteError, match="augmented files; name the folder .* original"):
        prepare(PrepareConfig(tmp_path / "out", msld=folder))
    assert not (tmp_path / "out").exists()
