import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

import lesionlite
from tests.conftest import TINY
from train.audit import Look, audit, inspected, look, read_groups
from train.data import Dataset, Split, read_dataset
from train.errors import LesionliteError
from train.fit import fit

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def data(drawn: Path, tmp_path: Path) -> Path:
    """A data folder in which a test may plant things."""
    return Path(shutil.copytree(drawn, tmp_path / "data"))


def leaks(folder: Path, groups: Path | None = None) -> dict[str, tuple[str, str]]:
    dataset, looks, _ = inspected(read_dataset(folder), False)
    found = audit(folder, dataset, looks, groups)
    return {leak.image: (leak.like, leak.reason) for leak in found.leaks}


def test_drawn_images_are_clean(data: Path) -> None:
    assert leaks(data) == {}


@pytest.mark.parametrize("change", ["same", "jpeg", "smaller", "brighter", "mirrored", "turned"])
def test_a_near_duplicate_is_found(data: Path, change: str) -> None:
    source = sorted((data / "train" / "Melanoma").iterdir())[0]
    image = Image.open(source).convert("RGB")
    changed = {
        "smaller": image.resize((image.width * 3 // 4, image.height * 3 // 4)),
        "brighter": ImageEnhance.Brightness(image).enhance(1.1),
        "mirrored": image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "turned": image.transpose(Image.Transpose.ROTATE_90),
    }.get(change, image)
    suffix = ".jpg" if change == "jpeg" else ".png"
    changed.save(data / "test" / "Measles" / f"planted{suffix}")  # of another class, even
    ((image_, (like, reason)),) = leaks(data).items()
    assert image_ == f"test/Measles/planted{suffix}"
    assert like == source.relative_to(data).as_posix() and "near-duplicate" in reason


def test_a_group_on_both_sides_is_found(data: Path, tmp_path: Path) -> None:
    a, b, c = (
        sorted((data / split / "Melanoma").iterdir())[0] for split in ("train", "val", "test")
    )
    table = tmp_path / "groups.csv"
    table.write_text(f"image_id,lesion_id\n{a.stem},L1\n{b.stem},L2\n{c.stem},L1\nother,L2\nx,\n")
    (found,) = leaks(data, table).items()
    assert found[0] == c.relative_to(data).as_posix()
    assert found[1] == (a.relative_to(data).as_posix(), "group L1")
    assert read_groups(table) == {a.stem: "L1", b.stem: "L2", c.stem: "L1", "other": "L2"}


@pytest.mark.parametrize("text", ["image,class\na,b\n", "", "group\nx\n"])
def test_a_table_without_groups_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(LesionliteError, match=r"t.csv needs a column image or .*lesion_id"):
        read_groups(tmp_path / "t.csv")
    with pytest.raises(LesionliteError, match="cannot be read"):
        read_groups(tmp_path / "none.csv")


def test_the_command_lists_and_fails(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lesionlite.main(["audit", str(data)]) == 0
    assert "no lesion, patient or near-duplicate is in two splits" in capsys.readouterr().out
    source = sorted((data / "train" / "Melanoma").iterdir())[0]
    shutil.copy(source, data / "val" / "Melanoma" / "planted.png")
    out = tmp_path / "leaks.csv"
    assert lesionlite.main(["audit", str(data), "--out", str(out), "--json"]) == 1
    streams = capsys.readouterr()
    document = json.loads(streams.out)
    assert document["per_class"] == {"Melanoma": 1} and len(document["leaks"]) == 1
    assert "scores flatter (Melanoma 1" in streams.err
    (row,) = csv.DictReader(out.open())
    assert row["image"] == "val/Melanoma/planted.png" and row["class"] == "Melanoma"


def test_training_says_what_it_found(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = sorted((data / "train" / "Melanoma").iterdir())[0]
    shutil.copy(source, data / "test" / "Melanoma" / "planted.png")
    config = lesionlite.TrainConfig(model=TINY.model, weights="none", side=32, epochs=0)
    fit(data, tmp_path / "run", config)
    assert "1 images of val and test have their like in another split" in capsys.readouterr().out


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared images")
def test_every_repeat_of_a_real_lesion_and_every_photographs_group_is_caught() -> None:
    """With the first image of each group in train, and all its others in test."""
    with (SHARED / "ham10000" / "HAM10000_metadata.csv").open() as stream:
        groups = {row["image_id"]: row["lesion_id"] for row in csv.DictReader(stream)}
    photographs = {file.stem: file.stem[:-3] for file in (SHARED / "infectious").rglob("*.jpg")}
    assert len(photographs) == 1661
    for table, repeats in ((groups, 2545), (photographs, None)):
        first: dict[str, str] = {}
        for image, group in table.items():
            first.setdefault(group, image)
        rest = [image for image in table if first[table[image]] != image]
        assert repeats in (len(rest), None)
        found = audited(sorted(first.values()), sorted(rest), table)
        assert found == set(rest)


def audited(train: list[str], test: list[str], groups: dict[str, str]) -> set[str]:
    """Which test images leak; no image is opened, their hashes are far apart."""
    folder = Path("/data")

    def split(name: str, images: list[str]) -> Split:
        files = tuple(folder / name / f"{image}.jpg" for image in images)
        return Split(files, (0,) * len(files), ("a",))

    dataset = Dataset(split("train", train), split("val", ["v"]), split("test", test), "")
    files = [f for s in (dataset.train, dataset.val, dataset.test) if s for f in s.files]
    flat = np.zeros((32, 32), np.float32)
    apart = np.random.default_rng(0).integers(0, 2**63, (len(files), 8), np.uint64)
    looks = {file: Look(hashes, flat) for file, hashes in zip(files, apart, strict=True)}
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".csv") as stream:
        stream.write("image,group\n" + "".join(f"{i},{g}\n" for i, g in groups.items()))
        stream.flush()
        found = audit(folder, dataset, looks, Path(stream.name))
    return {Path(leak.image).stem for leak in found.leaks}


def test_turned_images_have_the_hashes_of_the_image() -> None:
    generator = np.random.default_rng(0)
    image = Image.fromarray(generator.integers(0, 256, (32, 32, 3), np.uint8)).resize((200, 150))
    mine, turned = look(image), look(image.transpose(Image.Transpose.ROTATE_180))
    assert int(np.bitwise_count(mine.hashes[2] ^ turned.hashes[0])) <= 4
    assert int(np.bitwise_count(mine.hashes[0] ^ turned.hashes[0])) > 10
