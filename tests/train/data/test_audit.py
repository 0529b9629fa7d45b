import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

import lesionlite
from lesionlite import cli
from lesionlite.errors import LesionliteError
from lesionlite.train.data.audit import Signature, audit, decode_all, read_groups, signature_of
from lesionlite.train.data.splits import Dataset, Split, read_dataset
from lesionlite.train.fit import fit
from tests.conftest import TINY
from tests.paths import SHARED

DATA = SHARED / "data"


@pytest.fixture
def data(drawn: Path, tmp_path: Path) -> Path:
    """A data folder in which a test may plant things."""
    return Path(shutil.copytree(drawn, tmp_path / "data"))


def leaks(folder: Path, groups: Path | None = None) -> dict[str, tuple[str, str]]:
    dataset, looks, _ = decode_all(read_dataset(folder), False)
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
    assert read_groups(table, [a, b, c], data) == {a: "L1", b: "L2", c: "L1"}


@pytest.mark.parametrize("text", ["image,class\na,b\n", "", "group\nx\n"])
def test_a_table_without_groups_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(LesionliteError, match=r"t.csv, line 1: there is no column .*lesion_id"):
        read_groups(tmp_path / "t.csv", [], tmp_path)
    with pytest.raises(LesionliteError, match="there is no file"):
        read_groups(tmp_path / "none.csv", [], tmp_path)


def test_the_command_lists_and_fails(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["audit", str(data)]) == 0
    assert "no lesion, patient or near-duplicate is in two splits" in capsys.readouterr().out
    source = sorted((data / "train" / "Melanoma").iterdir())[0]
    shutil.copy(source, data / "val" / "Melanoma" / "planted.png")
    out = tmp_path / "leaks.csv"
    assert cli.main(["audit", str(data), "--out", str(out), "--json"]) == 1
    streams = capsys.readouterr()
    document = json.loads(streams.out)
    assert document["per_class"] == {"Melanoma": 1} and len(document["leaks"]) == 1
    assert "scores flatter (Melanoma 1" in streams.err
    (row,) = csv.DictReader(out.open())
    assert row["image"] == "val/Melanoma/planted.png" and row["class"] == "Melanoma"


@pytest.mark.slow
def test_training_says_what_it_found(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = sorted((data / "train" / "Melanoma").iterdir())[0]
    shutil.copy(source, data / "test" / "Melanoma" / "planted.png")
    config = lesionlite.TrainConfig(model=TINY.model, weights="none", side=32, epochs=0)
    fit(data, tmp_path / "run", config)
    assert "1 images of val and test have their like in another split" in capsys.readouterr().out


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared images")
def test_every_repeat_of_a_real_lesion_and_every_photographs_group_is_caught() -> None:
    """With the first image of each group in train, and all its others in test."""
    with (DATA / "ham10000" / "HAM10000_metadata.csv").open() as stream:
        groups = {row["image_id"]: row["lesion_id"] for row in csv.DictReader(stream)}
    photographs = {file.stem: file.stem[:-3] for file in (DATA / "infectious").rglob("*.jpg")}
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
    looks = {file: Signature(hashes, flat) for file, hashes in zip(files, apart, strict=True)}
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".csv") as stream:
        stream.write("image,group\n" + "".join(f"{i},{g}\n" for i, g in groups.items()))
        stream.flush()
        found = audit(folder, dataset, looks, Path(stream.name))
    return {Path(leak.image).stem for leak in found.leaks}


def test_turned_images_have_the_hashes_of_the_image() -> None:
    generator = np.random.default_rng(0)
    image = Image.fromarray(generator.integers(0, 256, (32, 32, 3), np.uint8)).resize((200, 150))
    mine, turned = signature_of(image), signature_of(image.transpose(Image.Transpose.ROTATE_180))
    assert int(np.bitwise_count(mine.hashes[2] ^ turned.hashes[0])) <= 4
    assert int(np.bitwise_count(mine.hashes[0] ^ turned.hashes[0])) > 10


def small(folder: Path, *names: str) -> Path:
    """A data folder of images that signature_of unlike one another."""
    for index, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(index).integers(0, 256, (6, 6, 3), np.uint8)
        Image.fromarray(noise).resize((48, 48)).save(folder / name)
    return folder


def groups_of(folder: Path, text: str, encoding: str = "utf-8") -> dict[str, str]:
    """The groups that a table tells of the images of a folder."""
    (folder.parent / "groups.csv").write_text(text, encoding=encoding)
    files = [file for split in read_dataset(folder).splits() for file in split.files]
    found = read_groups(folder.parent / "groups.csv", files, folder)
    return {file.relative_to(folder).as_posix(): group for file, group in found.items()}


NAMES = ("train/a/1.png", "train/a/2.png", "train/b/1.png", "val/a/3.png", "val/b/4.png")


@pytest.mark.parametrize(
    "path",
    ["train\\a\\1.png", "C:\\Users\\x\\data\\train\\a\\1.JPG", "./train/a/1", "/x/train//a/1.png"],
)
def test_a_path_of_windows_or_of_others_means_its_image(tmp_path: Path, path: str) -> None:
    folder = small(tmp_path / "data", *NAMES)
    assert groups_of(folder, f"image,group\n{path},L\n") == {"train/a/1.png": "L"}
    assert groups_of(folder, f"image;lesion_id\r\n{path};L\r\n", "utf-8-sig") == {
        "train/a/1.png": "L"
    }


def test_a_leak_that_a_table_with_backslashes_tells_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small(tmp_path / "data", *NAMES)
    table = tmp_path / "t.csv"
    table.write_text("image,patient_id\ntrain\\a\\1.png,P\nval\\a\\3.png,P\n")
    assert cli.main(["audit", str(folder), "--groups", str(table)]) == 1
    assert "val/a/3.png  like  train/a/1.png  (group P)" in capsys.readouterr().out


def test_equal_names_in_several_classes_are_no_leak(tmp_path: Path) -> None:
    names = [f"{s}/{c}/{i}.png" for s in ("train", "val") for c in "ab" for i in range(3)]
    folder = small(tmp_path / "data", *names)
    table = "image,group\n" + "".join(f"{n},{n}\n" for n in names)
    (tmp_path / "t.csv").write_text(table)
    assert leaks(folder, tmp_path / "t.csv") == {}
    assert len(groups_of(folder, table)) == len(names)
    with pytest.raises(LesionliteError, match=r"line 2: 1.png fits 4 images .* give their paths"):
        groups_of(folder, "image,group\n1.png,L\n")
    with pytest.raises(LesionliteError, match=r"line 2: a/1.png fits 2 images"):
        groups_of(folder, "image,group\na/1.png,L\n")


@pytest.mark.parametrize("nothing", ["nan", "NaN", "none", "null", "NA", "N/A", "n/a", "", " "])
def test_what_means_nothing_is_no_group(tmp_path: Path, nothing: str) -> None:
    folder = small(tmp_path / "data", *NAMES)
    text = f"image,lesion_id\n2,{nothing}\n3,{nothing}\n4,L\n"
    assert groups_of(folder, text) == {"val/b/4.png": "L"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image,group\nx.png,A\ny.png,B\n", "group of no image: its rows name x.png"),
        ("image,group\n2.png,nan\n", "no row of it has a group"),
        ("image,group\n2.png,A\n2,B\n", "line 3: 2 is of group B here and of A above"),
        ("image,group\n2.png\n", "line 2: the row does not have the header's 2 fields"),
        ("picture,group\n2.png,A\n", "no column image or image_id or file; .* it has picture"),
    ],
)
def test_a_table_of_groups_that_is_wrong_is_refused(
    tmp_path: Path, text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small(tmp_path / "data", *NAMES)
    with pytest.raises(LesionliteError, match=told):
        groups_of(folder, text)
    table = ["--groups", str(tmp_path / "groups.csv")]
    assert cli.main(["audit", str(folder), *table]) == 2


def test_the_list_replaces_nothing_but_a_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small(tmp_path / "data", *NAMES)
    table = tmp_path / "t.csv"
    table.write_text("image,group\n2,L\n")
    (tmp_path / "notes.csv").write_text("irreplaceable")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(folder / "list.csv")
    before = {p: p.is_file() and p.read_bytes() for p in tmp_path.rglob("*")}
    for name in ("data", "data/list.csv", "t.csv", "notes.csv", "folder", "link", "notes.csv/x"):
        given = [str(folder), "--groups", str(table), "--out", str(tmp_path / name)]
        assert cli.main(["audit", *given]) == 2
        streams = capsys.readouterr()
        assert "--out" in streams.err and "checking images" not in streams.err
        assert {p: p.is_file() and p.read_bytes() for p in tmp_path.rglob("*")} == before
    for _ in range(2):
        given = [str(folder), "--groups", str(table), "--out", str(tmp_path / "list.csv")]
        assert cli.main(["audit", *given]) == 0
    assert (tmp_path / "list.csv").read_text() == "image,like,class,reason\n"


def test_a_class_of_train_that_nothing_decodes_of_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small(tmp_path / "data", *NAMES)
    (folder / "val" / "b" / "4.png").write_text("no image")
    dataset, _, bad = decode_all(read_dataset(folder), True)
    assert len(bad) == 1 and dataset.val.counts() == [1, 0]
    assert "val/ has no image of b left" in capsys.readouterr().out
    (folder / "train" / "b" / "1.png").write_text("no image")
    with pytest.raises(LesionliteError, match="no image of b in train/ can be decoded"):
        decode_all(read_dataset(folder), True)


def test_what_is_left_out_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small(tmp_path / "data", *NAMES, "train/loose.png", "train/a/.ipynb_checkpoints/1.png")
    (folder / "val" / "a" / "notes.txt").write_text("x")
    assert cli.main(["audit", str(folder)]) == 0
    said = capsys.readouterr().out
    for words in ("beside the class folders", "hidden or of the system", "no image by the suffix"):
        assert said.count(f": 1 file is left out, {words}") == 1
