import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from lesionlite.errors import LesionliteError
from lesionlite.train.data.folders import IMAGE_SUFFIXES, find_classes, find_images
from lesionlite.train.data.splits import read_dataset, read_split


def draw(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(file, format="png")
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/1.png", "b/2.png"):
        draw(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("suffix", [*IMAGE_SUFFIXES, ".JFIF", ".Gif", ".AVIF", ".HEIC"])
def test_every_suffix_is_an_image(folder: Path, suffix: str) -> None:
    draw(folder / "a" / f"x{suffix}")
    assert len(read_split(folder)) == 3


@pytest.mark.parametrize(
    "hidden", [".ipynb_checkpoints", "@eaDir", "__MACOSX", ".git", "$RECYCLE.BIN", "#recycle"]
)
def test_folders_of_the_system_are_no_classes_and_hold_no_images(folder: Path, hidden: str) -> None:
    draw(folder / hidden / "1.png")
    draw(folder / hidden / "deep" / "2.png")
    draw(folder / "a" / hidden / "1.png")
    draw(folder / "a" / "._1.png")
    split = read_split(folder)
    assert split.labels == ("a", "b") and len(split) == 2
    (said,) = split.left_out
    assert said == f"{folder}: 4 files are left out, hidden or of the system"


def test_everything_left_out_is_said_with_its_number(folder: Path) -> None:
    draw(folder / "loose.png")
    draw(folder / "a" / "x.dng")
    draw(folder / "b" / "y.dng")
    draw(folder / "b" / "README")
    (folder / "gone").symlink_to(folder / "nowhere")
    assert [said.removeprefix(f"{folder}: ") for said in read_split(folder).left_out] == [
        "1 file is left out, a link that leads nowhere",
        "1 file is left out, beside the class folders and of no class",
        "1 file is left out, no image by the name, without suffix",
        "2 files are left out, no image by the suffix .dng",
    ]
    assert len(read_split(folder).without([folder / "a" / "1.png"]).left_out) == 4


def test_linked_folders_are_entered_once(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = draw(tmp_path_factory.mktemp("x") / "deep" / "3.png").parent.parent
    (folder / "a" / "linked").symlink_to(elsewhere)
    (folder / "a" / "again").symlink_to(elsewhere)
    (folder / "a" / "up").symlink_to(folder)
    (folder / "c").symlink_to(elsewhere)
    split = read_split(folder)
    assert split.labels == ("a", "b", "c") and split.counts() == [2, 1, 1]


def test_a_macs_name_of_a_class_is_the_same_class(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Caf\u00e9") for form in ("NFC", "NFD"))
    for name in (f"train/{composed}/1.png", "train/b/2.png", f"val/{decomposed}/3.png"):
        draw(tmp_path / name)
    dataset = read_dataset(tmp_path)
    assert dataset.labels == (composed, "b")[:: 1 if composed < "b" else -1]
    assert dataset.val.counts()[dataset.labels.index(composed)] == 1
    draw(tmp_path / "train" / decomposed / "4.png")
    assert sorted(read_dataset(tmp_path).train.counts()) == [1, 2]
    old = read_split(tmp_path / "val", (decomposed, "b"))  # a model that was trained on a Mac
    assert old.counts() == [1, 0]


@pytest.mark.parametrize("name", [b"\xff", b"a/\xff.png"])
def test_names_that_are_not_utf8_are_refused(folder: Path, name: bytes) -> None:
    draw(folder / "a" / "x.png").rename(Path(os.fsdecode(os.fsencode(folder) + b"/moved.png")))
    place = os.fsencode(folder) + b"/" + name
    os.mkdir(place) if name == b"\xff" else os.rename(folder / "moved.png", place)
    with pytest.raises(LesionliteError, match=r"\\xff.*: the name is not UTF-8; rename it"):
        read_split(folder)


def test_no_folder_is_said(tmp_path: Path) -> None:
    for find in (find_images, find_classes):
        with pytest.raises(LesionliteError, match="there is no folder"):
            find(tmp_path / "x")
        (tmp_path / "file").touch()
        with pytest.raises(LesionliteError, match="file is no folder"):
            find(tmp_path / "file")
