from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.train.data.decoding import open_image
from lesionlite.train.data.images import find_bad, load_inputs, to_input
from lesionlite.train.data.splits import drop_bad, judging_split, read_dataset, read_split


def make(folder: Path, *names: str, images: int = 2) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        for index in range(images):
            Image.new("RGB", (40, 30), (index, 9, 9)).save(folder / name / f"{index}.png")
    return folder


def test_labels_are_the_sorted_folders_and_an_empty_one_counts(tmp_path: Path) -> None:
    make(tmp_path, "b", "a")
    (tmp_path / "c").mkdir()
    split = read_split(tmp_path)
    assert split.labels == ("a", "b", "c")
    assert split.counts() == [2, 2, 0]


def test_a_subset_of_the_classes_keeps_the_models_order(tmp_path: Path) -> None:
    split = read_split(make(tmp_path, "b"), labels=("c", "b", "a"))
    assert set(split.targets) == {1}


def test_a_split_has_a_name_in_a_data_folder_only(tmp_path: Path) -> None:
    for name in ("train", "val"):
        make(tmp_path / "data" / name, "a", "b")
    labels = ("a", "b")
    assert [split.name for split in read_dataset(tmp_path / "data").splits()] == ["train", "val"]
    assert judging_split(tmp_path / "data", labels).name == "val"
    assert judging_split(tmp_path / "data" / "train", labels).name == "train"
    make(tmp_path / "data" / "test", "a")
    assert judging_split(tmp_path / "data", labels).name == "test"
    assert judging_split(make(tmp_path / "val", "a"), labels).name == ""


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda p: p / "nowhere", "there is no folder"),
        (lambda p: p, "no folder train/"),
        (lambda p: make(p / "train", "a", "b", images=0).parent, "holds no images"),
        (lambda p: make(p / "train", "a").parent, "one class only"),
        (lambda p: make(p / "train", "a", "b").parent, "there is no folder"),
    ],
)
def test_bad_folders_are_named(tmp_path: Path, build: object, words: str) -> None:
    with pytest.raises(LesionliteError, match=words):
        read_dataset(build(tmp_path))  # type: ignore[operator]


def test_classes_that_train_lacks_are_named(tmp_path: Path) -> None:
    make(tmp_path / "train", "a", "b")
    make(tmp_path / "val", "a", "zebra")
    with pytest.raises(LesionliteError, match="train/ lacks: zebra"):
        read_dataset(tmp_path)


def test_bad_images_are_counted_and_named_or_skipped(tmp_path: Path) -> None:
    split = read_split(make(tmp_path, "a", "b", images=3))
    whole = split.files[0].read_bytes()
    split.files[0].write_bytes(whole[: len(whole) // 2])
    split.files[1].write_text("no image")
    assert set(find_bad(split.files)) == set(split.files[:2])
    with pytest.raises(LesionliteError, match=r"2 of the images.*a/0\.png.*--skip-bad"):
        drop_bad([split], skip=False)
    (kept,), bad = drop_bad([split], skip=True)
    assert len(kept) == 4 and bad == list(split.files[:2])


def test_images_are_turned_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "x.jpg", exif=exif)
    assert open_image(tmp_path / "x.jpg").size == (20, 40)


def test_squash_and_shortest() -> None:
    image = np.zeros((64, 128, 3), np.uint8)
    image[:, 32:96] = 255  # the central square is white
    labels = ("a", "b")
    squashed = to_input(image, Contract(labels, side=32))
    assert squashed.shape == (32, 32, 3) and squashed.min() == 0
    cut = to_input(image, Contract(labels, side=32, resize="shortest"))
    assert cut.shape == (32, 32, 3) and cut.min() > 200
    inner = to_input(image, Contract(labels, side=32, resize="shortest", resize_side=40))
    assert inner.min() == 255


def test_other_arrays_are_refused() -> None:
    with pytest.raises(LesionliteError, match="uint8"):
        to_input(np.zeros((4, 4, 3)), Contract(("a", "b"), side=32))  # type: ignore[arg-type]


def test_load_inputs_keeps_the_order(tmp_path: Path) -> None:
    files = read_split(make(tmp_path, "a", images=5)).files
    pixels = load_inputs(files, Contract(("a", "b"), side=32))
    assert pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
