"""`lesionlite prepare`: what it reads, how it divides, what it writes and what it refuses."""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lesionlite.errors import LesionliteError
from lesionlite.train.data.divide import divide
from lesionlite.train.data.prepare import CLASSES, SPLITS, PrepareConfig, prepare
from lesionlite.train.data.rows import HAM_TABLE, ISIC_CLASSES, ISIC_TABLE, ISIC_TRUTH
from lesionlite.train.data.sources import Sample
from tests.paths import SHARED

real_data = pytest.mark.skipif(not (SHARED / "data").exists(), reason="needs the shared images")
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
_serial = count(1)


def draw(path: Path) -> Path:
    """A tiny image unlike any drawn before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number = next(_serial)
    Image.new("RGB", (4, 4), (number % 256, number // 256 % 256, 90)).save(path, format="png")
    return path


def table(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([list(header), *map(list, rows)])
    return path


def make_ham(folder: Path, rows: Iterable[tuple[str, str, str]]) -> Path:
    """HAM10000 of (lesion, image, dx), each with its image."""
    rows = list(rows)
    for _, name, _ in rows:
        draw(folder / "part_1" / f"{name}.jpg")
    table(folder / HAM_TABLE, ("lesion_id", "image_id", "dx"), rows)
    return folder


def make_isic(folder: Path, rows: Iterable[tuple[str, str, str]], images: bool = False) -> Path:
    """ISIC 2019 of (lesion, image, column)."""
    rows = list(rows)
    hot = [(name, *(float(c == column) for c in ISIC_CLASSES)) for _, name, column in rows]
    table(folder / ISIC_TRUTH, ("image", *ISIC_CLASSES), hot)
    table(folder / ISIC_TABLE, ("image", "lesion_id"), [(name, lesion) for lesion, name, _ in rows])
    for _, name, _ in rows if images else ():
        draw(folder / "ISIC_2019_Training_Input" / f"{name}.jpg")
    return folder


def make_msld(folder: Path, names: Iterable[str]) -> Path:
    for name in names:
        draw(folder / name)
    return folder


def written(out: Path) -> dict[str, dict[str, str]]:
    """The rows of OUT/split.csv by file name; every row's file must exist."""
    with (out / "split.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert all((out / row["image"]).is_file() for row in rows)
    for row in rows:
        assert Path(row["image"]).parts[:2] == (row["split"], row["class"])
    assert len(rows) == sum(path.is_file() for path in out.glob("*/*/*"))
    return {Path(row["image"]).name: row for row in rows}


def assert_no_crossing(rows: Iterable[dict[str, str]]) -> None:
    homes: dict[str, str] = {}
    for row in rows:
        assert homes.setdefault(row["group"], row["split"]) == row["split"]


@pytest.fixture
def ham(tmp_path: Path) -> Path:
    return make_ham(
        tmp_path / "ham",
        [
            ("L1", "ISIC_1", "akiec"),
            ("L1", "ISIC_2", "akiec"),
            ("L2", "ISIC_3", "akiec"),
            ("L3", "ISIC_4", "nv"),
            ("L4", "ISIC_5", "nv"),
            ("L5", "ISIC_6", "nv"),
        ],
    )


@pytest.fixture
def msld(tmp_path: Path) -> Path:
    return make_msld(tmp_path / "msld", [f"Monkeypox/MKP_{i:03}_01.jpg" for i in range(1, 6)])


# --- what it reads


def test_isic_labels_divide_akiec(tmp_path: Path, ham: Path) -> None:
    isic = make_isic(tmp_path / "isic", [("L1", "ISIC_1", "SCC"), ("L1", "ISIC_2", "SCC")])
    summary = prepare(PrepareConfig(tmp_path / "out", ham10000=ham, isic2019=isic))
    rows = written(tmp_path / "out")
    assert rows["ISIC_1.jpg"]["class"] == rows["ISIC_2.jpg"]["class"] == "Squamous cell carcinoma"
    assert rows["ISIC_3.jpg"]["class"] == "Actinic keratoses"
    assert rows["ISIC_1.jpg"]["group"] == rows["ISIC_2.jpg"]["group"] == "L1"
    said = summary.sentences()
    assert (
        "1 image HAM10000 calls akiec, not divided by ISIC 2019, went to Actinic keratoses" in said
    )


def test_what_is_left_out_is_said(tmp_path: Path, ham: Path) -> None:
    draw(ham / "ISIC_77_segmentation.png")
    (ham / "part_1" / "ISIC_6.jpg").unlink()
    draw(ham / "figure.png")  # none of HAM10000's images
    draw(ham / "part_1" / "._ISIC_5.jpg")  # macOS
    isic = make_isic(tmp_path / "isic", [("", "ISIC_1", "UNK"), ("", "ISIC_4", "MEL")])
    summary = prepare(PrepareConfig(tmp_path / "out", ham10000=ham, isic2019=isic))
    assert set(written(tmp_path / "out")) == {f"ISIC_{i}.jpg" for i in (2, 3, 4, 5)}
    said = summary.sentences()
    assert "1 image without a row in its collection's table left out" in said
    assert "1 image that ISIC 2019 labels UNK left out" in said
    assert f"1 image named in {HAM_TABLE} not found" in said
    assert "1 image took ISIC 2019's class, which differs from HAM10000's" in said
    assert not any(ISIC_TRUTH in sentence for sentence in said)


def test_isic_with_images_of_its_own(tmp_path: Path, ham: Path) -> None:
    isic = make_isic(
        tmp_path / "isic",
        [("B1", "ISIC_20_downsampled", "DF"), ("B1", "ISIC_21", "DF"), ("", "ISIC_22", "DF")]
        + [("L3", "ISIC_4", "NV"), ("", "ISIC_23", "UNK")],
        images=True,
    )
    (isic / "ISIC_2019_Training_Input" / "ISIC_21.jpg").unlink()
    summary = prepare(PrepareConfig(tmp_path / "out", ham10000=ham, isic2019=isic))
    rows = written(tmp_path / "out")
    assert rows["ISIC_20_downsampled.jpg"]["group"] == "B1"
    assert rows["ISIC_22.jpg"]["group"] == "ISIC_22"
    said = summary.sentences()
    assert f"1 image named in {ISIC_TRUTH} not found" in said
    assert "1 image without a lesion_id: each is a group of its own" in said
    assert "1 image of --isic2019 taken from another source" in said
    linked = tmp_path / "out" / rows["ISIC_4.jpg"]["image"]
    assert linked.samefile(ham / "part_1" / "ISIC_4.jpg")


def test_downsampled_only_in_the_table(tmp_path: Path) -> None:
    isic = make_isic(tmp_path / "isic", [(f"L{i}", f"ISIC_{i}_downsampled", "DF") for i in "123"])
    for i in "123":
        draw(isic / f"ISIC_{i}.JPG")
    prepare(PrepareConfig(tmp_path / "out", isic2019=isic))
    assert {row["group"] for row in written(tmp_path / "out").values()} == {"L1", "L2", "L3"}


def test_msld_names_give_class_and_patient(tmp_path: Path) -> None:
    names = ["a/CWP_001_01.jpg", "a/CWP_001_02.JPEG", "b/mkp_002_01.PNG", "HEALTHY_003_01.jpg"]
    make_msld(tmp_path / "msld", [*names, "CHP_1_1.jpg", "MSL_1_1.jpg", "HFMD_1_1.jpg"])
    summary = prepare(PrepareConfig(tmp_path / "out", msld=tmp_path / "msld"))
    rows = written(tmp_path / "out")
    assert rows["CWP_001_02.JPEG"]["group"] == rows["CWP_001_01.jpg"]["group"] == "CWP_001"
    assert rows["mkp_002_01.PNG"]["class"] == "Monkeypox"
    assert {row["class"] for row in rows.values()} == set(CLASSES[3:5]) | set(CLASSES[6:9]) | {
        "Monkeypox"
    }
    assert "Cowpox has no image in val and test: it has 1 group in all" in summary.sentences()


def test_msld_folds_repeat_images(tmp_path: Path, msld: Path) -> None:
    shutil.copytree(msld / "Monkeypox", msld / "fold2" / "Monkeypox")
    summary = prepare(PrepareConfig(tmp_path / "out", msld=msld))
    assert len(written(tmp_path / "out")) == 5
    assert "5 identical files below --msld ignored" in summary.sentences()


def test_an_empty_class_stays_and_is_said(tmp_path: Path, ham: Path, msld: Path) -> None:
    names = [f"{code}_{i}_1.jpg" for code in ("CHP", "HFMD", "HEALTHY", "MSL") for i in range(3)]
    columns = [column for column in ISIC_CLASSES if column != "UNK"]
    isic = make_isic(
        tmp_path / "isic",
        [(f"{c}{i}", f"ISIC_9{n}{i}", c) for n, c in enumerate(columns) for i in range(3)],
        images=True,
    )
    config = PrepareConfig(tmp_path / "out", ham, isic, make_msld(msld, names))
    summary = prepare(config)
    assert summary.empty == ("Cowpox",)
    assert "Cowpox has no image; it stays a class of the contract" in summary.sentences()
    for split in SPLITS:
        assert sorted(path.name for path in (config.out / split).iterdir()) == sorted(CLASSES)
        assert not list((config.out / split / "Cowpox").iterdir())
    document = json.loads((config.out / "dataset.json").read_text())
    assert document["labels"] == list(CLASSES)
    assert sorted(sum(document["domains"].values(), [])) == list(CLASSES)


# --- how it divides


def samples(groups: dict[str, list[int]]) -> list[Sample]:
    """Samples of each class in groups of the given sizes."""
    return [
        Sample(Path(f"{label}-{number}-{i}.jpg"), label, f"{label}-{number}")
        for label, sizes in groups.items()
        for number, size in enumerate(sizes)
        for i in range(size)
    ]


def shares_of(rows: list[Sample], homes: dict[str, str]) -> dict[str, Counter[str]]:
    shares: dict[str, Counter[str]] = {row.label: Counter() for row in rows}
    for row in rows:
        shares[row.label][homes[row.group]] += 1
    return shares


def test_every_class_is_divided_in_proportion() -> None:
    rows = samples({"large": [1, 2, 3, 1, 1] * 500, "small": [3, 2, 1, 1] * 16, "odd": [5] * 40})
    homes = divide(rows, SHARES, seed=0)
    for label, found in shares_of(rows, homes).items():
        number = sum(row.label == label for row in rows)
        for split, share in SHARES.items():
            assert found[split] == pytest.approx(share * number, abs=0.02 * number + 1)
    sizes = Counter(row.group for row in rows if row.label == "large")
    assert any(size == 3 for group, size in sizes.items() if homes[group] == "val")


def test_division_depends_on_the_seed_alone() -> None:
    rows = samples({"a": [1, 2] * 50, "b": [1] * 30})
    assert divide(rows, SHARES, seed=3) == divide(rows[::-1], SHARES, seed=3)
    assert divide(rows, SHARES, seed=3) != divide(rows, SHARES, seed=4)


@pytest.mark.parametrize("groups", [3, 4, 7, 12])
def test_three_groups_suffice_for_every_split(groups: int) -> None:
    rows = samples({"a": [1] * groups, "b": [1] * 100})
    assert all(shares_of(rows, divide(rows, SHARES, seed=1))["a"][split] for split in SPLITS)


def test_a_group_of_two_classes_stays_whole() -> None:
    rows = samples({"a": [1] * 50, "b": [1] * 50})
    rows += [Sample(Path("x"), "a", "both"), Sample(Path("y"), "b", "both")]
    assert len(divide(rows, SHARES, seed=0)) == 101


# --- what it writes


def test_hard_links_unless_copies_are_wanted(tmp_path: Path, msld: Path) -> None:
    raw = msld / "Monkeypox" / "MKP_001_01.jpg"
    for copy in (False, True):
        out = tmp_path / f"out-{copy}"
        prepare(PrepareConfig(out, msld=msld, copy=copy))
        made = out / written(out)[raw.name]["image"]
        assert made.samefile(raw) is not copy
        assert made.read_bytes() == raw.read_bytes()


def test_refused_links_become_copies(
    tmp_path: Path, msld: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("another file system")

    monkeypatch.setattr("os.link", refuse)
    summary = prepare(PrepareConfig(tmp_path / "out", msld=msld))
    assert len(written(tmp_path / "out")) == 5
    assert "5 images copied, because hard links were refused" in summary.sentences()


def test_a_symbolic_link_is_followed(tmp_path: Path, msld: Path) -> None:
    (tmp_path / "links").mkdir()
    for path in msld.glob("*/*.jpg"):
        (tmp_path / "links" / path.name).symlink_to(path)
    prepare(PrepareConfig(tmp_path / "out", msld=tmp_path / "links"))
    assert not any(path.is_symlink() for path in (tmp_path / "out").glob("*/*/*"))


def test_dataset_json_names_no_path(tmp_path: Path, ham: Path, msld: Path) -> None:
    summary = prepare(PrepareConfig(tmp_path / "out", ham10000=ham, msld=msld, seed=5))
    text = (tmp_path / "out" / "dataset.json").read_text()
    document = json.loads(text)
    assert str(tmp_path) not in text
    assert document["sources"] == ["ham10000", "msld"]
    assert document["counts"] == summary.counts
    assert (document["note"], document["seed"]) == ("", 5)


def test_a_second_run_does_nothing(tmp_path: Path, msld: Path) -> None:
    config = PrepareConfig(tmp_path / "out", msld=msld)
    first = prepare(config)
    before = (config.out / "split.csv").stat().st_mtime_ns
    second = prepare(config)
    assert (first.up_to_date, second.up_to_date) == (False, True)
    assert "is up to date" in second.sentences()[0]
    assert second.counts == first.counts
    assert (config.out / "split.csv").stat().st_mtime_ns == before


def touch_up(path: Path, brightness: int) -> None:
    """Replace an uncompressed image by another one of the same size in bytes."""
    path.unlink(missing_ok=True)
    Image.new("RGB", (4, 4), (brightness,) * 3).save(path, format="bmp")


@pytest.mark.parametrize("copy", [False, True])
def test_a_second_run_after_one_image_changed(tmp_path: Path, msld: Path, copy: bool) -> None:
    raw = msld / "Monkeypox" / "MKP_001_01.jpg"
    touch_up(raw, 10)
    config = PrepareConfig(tmp_path / "out", msld=msld, copy=copy)
    made = config.out / written(prepare(config).out)[raw.name]["image"]
    touch_up(raw, 10)  # another file of the same content, as after unpacking anew
    assert prepare(config).up_to_date
    before = made.read_bytes()
    touch_up(raw, 20)
    with pytest.raises(
        LesionliteError, match=f"else: its .*{raw.name} is not .*{raw.name}; choose"
    ):
        prepare(config)
    assert made.read_bytes() == before
    Image.new("RGB", (9, 9)).save(raw)
    with pytest.raises(LesionliteError, match="already holds something else;.*delete"):
        prepare(config)
    shutil.rmtree(config.out)
    assert not prepare(config).up_to_date
    assert made.read_bytes() == raw.read_bytes()


def test_an_image_gone_from_out_is_noticed(tmp_path: Path, msld: Path) -> None:
    config = PrepareConfig(tmp_path / "out", msld=msld)
    rows = written(prepare(config).out)
    (config.out / rows["MKP_003_01.jpg"]["image"]).unlink()
    with pytest.raises(LesionliteError, match="its .*MKP_003_01.jpg is not"):
        prepare(config)


def test_anything_else_in_out_is_left_alone(tmp_path: Path, msld: Path) -> None:
    out = tmp_path / "out"
    prepare(PrepareConfig(out, msld=msld))
    changes: list[dict[str, Any]] = [{"val": 0.2}, {"copy": True}, {"seed": 1}]
    for changed in changes:
        with pytest.raises(LesionliteError, match="already holds something else"):
            prepare(PrepareConfig(out, msld=msld, **changed))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("irreplaceable")
    (tmp_path / "file").write_text("irreplaceable")
    for name in ("mine", "file"):
        with pytest.raises(LesionliteError, match="choose another --out"):
            prepare(PrepareConfig(tmp_path / name, msld=msld))
    assert (tmp_path / "mine" / "thesis.txt").exists()
    (tmp_path / "empty").mkdir()
    prepare(PrepareConfig(tmp_path / "empty", msld=msld))
    assert len(written(tmp_path / "empty")) == 5


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing(
    tmp_path: Path, msld: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    left = [None, None]

    def fail(_: Path, target: Path) -> None:
        if not left:
            raise error
        left.pop()
        target.touch()

    monkeypatch.setattr("shutil.copyfile", fail)
    expected = LesionliteError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        prepare(PrepareConfig(tmp_path / "made" / "out", msld=msld, copy=True))
    assert not list((tmp_path / "made").iterdir())


# --- a given split


def test_a_given_split_is_taken_as_it_is(tmp_path: Path, ham: Path, msld: Path) -> None:
    split = table(
        tmp_path / "paper.csv",
        ("image", "class", "group", "split"),
        [
            ("some/where/ISIC_1.jpg", "Melanoma", "L1", "test"),
            ("else\\where\\ISIC_2.jpg", "Melanoma", "L1", "test"),
            ("ISIC_3.jpg", "Actinic keratoses", "", "val"),
            ("MKP_001_01.jpg", "Monkeypox", "MKP_001", "train"),
        ],
    )
    summary = prepare(PrepareConfig(tmp_path / "out", ham10000=ham, msld=msld, split=split))
    rows = written(tmp_path / "out")
    assert len(rows) == 4
    assert rows["ISIC_2.jpg"]["image"] == "test/Melanoma/ISIC_2.jpg"
    assert rows["ISIC_3.jpg"]["group"] == "ISIC_3"
    assert "7 images not listed in paper.csv left out" in summary.sentences()


def test_its_own_split_can_be_given_back(tmp_path: Path, ham: Path, msld: Path) -> None:
    first = prepare(PrepareConfig(tmp_path / "a", ham10000=ham, msld=msld, seed=7))
    config = PrepareConfig(tmp_path / "b", ham10000=ham, msld=msld, split=first.out / "split.csv")
    assert prepare(config).counts == first.counts
    assert written(tmp_path / "a") == written(tmp_path / "b")


GOOD = "image,class,group,split\nMKP_001_01.jpg,Monkeypox,a,train\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image,class,split\n", "line 1: there is no column group"),
        ("", "line 1: there is no column image"),
        (GOOD + "MKP_002_01.jpg,Monkypox,b,val\n", "line 3: .*did you mean 'Monkeypox'"),
        (GOOD + "MKP_002_01.jpg,Monkeypox,b,valid\n", "line 3: there is no split 'valid'"),
        (GOOD + "MKP_002_01.jpg,Monkeypox,a,val\n", "line 3: group a is in val here and in train"),
        (GOOD + "x/MKP_001_01.jpg,Monkeypox,a,train\n", "line 3: .* has a row already"),
        (GOOD + "MKP_002_01.jpg,Monkeypox\n", "line 3: the row does not have the header's 4"),
        (GOOD + "A.jpg,HFMD,b,val\nB.jpg,HFMD,c,val\n", r"2 images not found.*\(A.jpg, B.jpg\)"),
        ("image,class,group,split\n", "no image is left"),
        (b"\xff\xfe\x00", "cannot be read as a CSV file in UTF-8"),
    ],
)
def test_a_wrong_split_is_refused(tmp_path: Path, msld: Path, text: Any, told: str) -> None:
    split = tmp_path / "given.csv"
    split.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LesionliteError, match=told):
        prepare(PrepareConfig(tmp_path / "out", msld=msld, split=split))
    assert not (tmp_path / "out").exists()


# --- what it refuses


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({}, "give --ham10000, --isic2019, --msld or --kaggle"),
        ({"msld": Path("x"), "val": 0.0}, "above 0"),
        ({"msld": Path("x"), "test": float("nan")}, "above 0"),
        ({"msld": Path("x"), "val": 0.5, "test": 0.5}, "together below 1"),
        ({"msld": Path(".")}, "--out out lies in"),
    ],
)
def test_a_config_without_sense_is_refused(flags: dict[str, Any], told: str) -> None:
    with pytest.raises(LesionliteError, match=told):
        PrepareConfig(Path("out"), **flags)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("XYZ_001_01.jpg", "XYZ_001_01.jpg: there is no class code 'XYZ'.*MKP, CHP, CWP, MSL"),
        ("holiday.jpg", "holiday.jpg is not named CODE_GGG_NN"),
        ("MKP_001_01_aug3.jpg", "not named CODE_GGG_NN.*original images only"),
        ("fold2/MKP_001_01.jpg", "different images of one name"),
    ],
)
def test_a_wrong_photograph_is_refused(tmp_path: Path, msld: Path, name: str, told: str) -> None:
    draw(msld / name)
    with pytest.raises(LesionliteError, match=told):
        prepare(PrepareConfig(tmp_path / "out", msld=msld))


def test_sources_without_what_they_need_are_refused(tmp_path: Path, ham: Path) -> None:
    def refused(told: str, **flags: Any) -> None:
        with pytest.raises(LesionliteError, match=told):
            prepare(PrepareConfig(tmp_path / "out", **flags))

    empty = tmp_path / "empty"
    empty.mkdir()
    refused("--msld: there is no folder .*nowhere", msld=tmp_path / "nowhere")
    refused("--msld: there is no image below", msld=empty)
    refused("--ham10000: there is no image below", ham10000=empty)
    refused(f"--isic2019: .* holds no {ISIC_TRUTH}", ham10000=ham, isic2019=empty)
    labels = make_isic(tmp_path / "labels", [("", "ISIC_1", "SCC")])
    refused("its table alone serves only --ham10000 or --kaggle", isic2019=labels)
    ungrouped = make_isic(tmp_path / "ungrouped", [("L", "ISIC_9", "NV")], images=True)
    (ungrouped / ISIC_TABLE).unlink()
    refused(f"holds no {ISIC_TABLE}", isic2019=ungrouped)
    (ham / HAM_TABLE).unlink()
    refused(f"--ham10000: .* holds no {HAM_TABLE}", ham10000=ham)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("L9,ISIC_9,nevus\n", "line 8: there is no dx 'nevus'.*choose from: akiec"),
        ("L9,ISIC_1,nv\n", "line 8: ISIC_1 has a row already"),
        ("L9,ISIC_9\n", "line 8: the row does not have"),
    ],
)
def test_malformed_ham_metadata(tmp_path: Path, ham: Path, line: str, told: str) -> None:
    with (ham / HAM_TABLE).open("a") as stream:
        stream.write(line)
    with pytest.raises(LesionliteError, match=told):
        prepare(PrepareConfig(tmp_path / "out", ham10000=ham))


@pytest.mark.parametrize("hot", ["1,1,0,0,0,0,0,0,0", "0,0,0,0,0,0,0,0,0", "x,1,0,0,0,0,0,0,0"])
def test_malformed_isic_labels(tmp_path: Path, ham: Path, hot: str) -> None:
    isic = make_isic(tmp_path / "isic", [])
    with (isic / ISIC_TRUTH).open("a") as stream:
        stream.write(f"ISIC_1,{hot}\n")
    with pytest.raises(LesionliteError, match="line 2: exactly one of MEL, NV"):
        prepare(PrepareConfig(tmp_path / "out", ham10000=ham, isic2019=isic))


# --- the real collections, where they are


def real_config(out: Path, **flags: Any) -> PrepareConfig:
    data = SHARED / "data"
    return PrepareConfig(out, data / "ham10000", data / "isic2019", data / "infectious", **flags)


@real_data
def test_real_collections(tmp_path: Path) -> None:
    summary = prepare(real_config(tmp_path / "out"))
    totals = {name: sum(summary.counts[split][name] for split in SPLITS) for name in CLASSES}
    assert sum(totals.values()) == 11_676
    assert (totals["Actinic keratoses"], totals["Squamous cell carcinoma"]) == (130, 197)
    assert summary.sentences() == ["Cowpox has no image; it stays a class of the contract"]
    assert_no_crossing(written(tmp_path / "out").values())
    for name, total in totals.items():
        for split in ("val", "test"):
            assert not total or 0.05 < summary.counts[split][name] / total < 0.15


@real_data
def test_real_given_split(tmp_path: Path) -> None:
    given = SHARED / "checkpoint" / "split.csv"
    summary = prepare(real_config(tmp_path / "out", split=given))
    found = [sum(summary.counts[split].values()) for split in SPLITS]
    assert found == [9347, 927, 1402]
    rows = written(tmp_path / "out")
    with given.open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            made = rows[Path(row["image"]).name]
            assert all(made[key] == row[key] for key in ("class", "group", "split"))
