"""`lesionlite prepare --kaggle`: the merge of ISIC 2019 and MSLD v2.0, as far as it is known."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lesionlite import cli
from lesionlite.errors import LesionliteError
from lesionlite.train.data.kaggle import FOLDERS
from lesionlite.train.data.prepare import CLASSES, SPLITS, PrepareConfig, prepare
from tests.train.data.test_prepare import (
    assert_no_crossing,
    draw,
    make_ham,
    make_isic,
    make_msld,
    written,
)

COPIES = 5
HANDLE = "ahmedxc4/skin-ds"


@pytest.fixture
def merge(tmp_path: Path) -> Path:
    """Photographs with augmented copies, dealt at random to three splits; lesions of two images."""
    folder = tmp_path / "merge"
    number = 0
    for label, code in (("Monkeypox", "MKP"), ("Hand foot and mouth disease", "HFMD")):
        for patient in range(6):
            for copy in range(COPIES):
                suffix = f"_aug_{copy}" if copy else ""
                split = SPLITS[number % 3]
                draw(folder / split / label / f"{code}_{patient:02}_01{suffix}.jpg")
                number += 1
    for i in range(12):
        label = "Benign keratosis-like-lesions" if i < 6 else "Melanoma"
        ending = "_downsampled" if i % 4 == 3 else ""
        draw(folder / SPLITS[i % 3] / label / f"ISIC_00000{i:02}{ending}.jpg")
    return folder


@pytest.fixture
def lesions(tmp_path: Path) -> Path:
    """ISIC 2019's two tables, without an image."""
    rows = [(f"L{i // 2}" if i else "", f"ISIC_00000{i:02}", "NV") for i in range(12)]
    return make_isic(tmp_path / "tables", rows)


def prepared(tmp_path: Path, *arguments: object) -> dict[str, dict[str, str]]:
    out = tmp_path / "out"
    flags = ["prepare", *map(str, arguments), "--out", str(out)]
    assert cli.main(flags) == 0
    rows = written(out)
    assert_no_crossing(rows.values())
    return rows


def test_copies_of_a_photograph_stay_together(
    tmp_path: Path, merge: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = prepared(tmp_path, "--kaggle", merge)
    assert len(rows) == 72
    assert rows["HFMD_03_01.jpg"]["class"] == rows["HFMD_03_01_aug_4.jpg"]["class"] == "HFMD"
    assert rows["MKP_03_01.jpg"]["group"] == rows["MKP_03_01_aug_4.jpg"]["group"] == "MKP_03"
    assert rows["ISIC_0000003_downsampled.jpg"]["class"] == "Benign keratosis-like lesions"
    said = capsys.readouterr().out
    assert "the split that --kaggle came with is not kept: 12 groups of 24 cross it" in said
    assert "12 images of --kaggle of unknown lesion (--isic2019 tells it)" in said
    document = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert document["sources"] == ["kaggle"]


def test_tables_alone_tell_the_lesions(
    tmp_path: Path, merge: Path, lesions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = prepared(tmp_path, "--kaggle", merge, "--isic2019", lesions)
    assert rows["ISIC_0000002.jpg"]["group"] == "L1"
    assert rows["ISIC_0000003_downsampled.jpg"]["group"] == "L1"
    assert rows["ISIC_0000008.jpg"]["class"] == "Melanoma"  # the folder's, not the table's
    said = capsys.readouterr().out
    assert "1 image of --kaggle without a lesion_id: each is a group of its own" in said
    assert "not found" not in said


def test_ham10000s_table_alone(tmp_path: Path, merge: Path) -> None:
    ham = make_ham(tmp_path / "ham", [("H", f"ISIC_00000{i:02}", "nv") for i in (6, 7, 8)])
    for image in ham.rglob("*.jpg"):
        image.unlink()
    rows = prepared(tmp_path, "--kaggle", merge, "--ham10000", ham)
    alike = [rows[f"ISIC_00000{i}.jpg"] for i in ("06", "07_downsampled", "08")]
    assert {row["group"] for row in alike} == {"H"}


def test_an_image_of_two_sources_counts_once(tmp_path: Path, merge: Path) -> None:
    isic = make_isic(tmp_path / "isic", [("", "ISIC_0000001", "NV")], images=True)
    msld = make_msld(tmp_path / "msld", ["MKP_02_01.jpg", "MKP_02_02.jpg"])
    out = tmp_path / "out"
    summary = prepare(PrepareConfig(out, isic2019=isic, msld=msld, kaggle=str(merge)))
    rows = written(out)
    assert len(rows) == 73
    assert (out / rows["MKP_02_01.jpg"]["image"]).samefile(msld / "MKP_02_01.jpg")
    assert rows["ISIC_0000001.jpg"]["class"] == "Melanocytic nevi"
    assert {rows[name]["group"] for name in rows if name.startswith("MKP_02")} == {"MKP_02"}
    assert_no_crossing(rows.values())
    assert "2 images of --kaggle taken from another source" in summary.sentences()


def test_names_that_tell_nothing_are_said(tmp_path: Path, merge: Path) -> None:
    for i in range(3):
        draw(merge / "train" / "Cowpox" / f"image ({i}).jpg")
    draw(merge / "train" / "Cowpox" / "CHP_77_01.jpg")
    summary = prepare(PrepareConfig(tmp_path / "out", kaggle=str(merge)))
    rows = written(tmp_path / "out")
    assert rows["image (1).jpg"]["group"] == "image (1)"
    assert rows["CHP_77_01.jpg"]["class"] == "Cowpox"
    said = summary.sentences()
    assert any(
        "3 images of --kaggle whose name tells no lesion or patient" in sentence
        and "`lesionlite audit`" in sentence
        for sentence in said
    )
    assert any("1 image of --kaggle took the class of the folder" in sentence for sentence in said)


def test_a_merge_without_splits_has_none_to_speak_of(tmp_path: Path) -> None:
    for i in range(4):
        draw(tmp_path / "merge" / "NV" / f"ISIC_000000{i}.jpg")
    said = prepare(PrepareConfig(tmp_path / "out", kaggle=str(tmp_path / "merge"))).sentences()
    assert not any("the split that" in sentence for sentence in said)


def test_class_folders_in_other_spellings(tmp_path: Path) -> None:
    assert set(FOLDERS.values()) == set(CLASSES)
    names = ["melanocytic_nevi", "Monkey Pox", "Hand-Foot-Mouth Disease", "SCC", "chicken-pox"]
    for i, name in enumerate(names):
        draw(tmp_path / "merge" / "Train" / name / f"ISIC_000000{i}.jpg")
    prepare(PrepareConfig(tmp_path / "out", kaggle=str(tmp_path / "merge")))
    found = [row["class"] for _, row in sorted(written(tmp_path / "out").items())]
    assert found == [
        "Melanocytic nevi",
        "Monkeypox",
        "HFMD",
        "Squamous cell carcinoma",
        "Chickenpox",
    ]


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("train/Malenoma/ISIC_0000099.jpg", "no class: .*'Malenoma' .did you mean 'Melanoma'"),
        ("ISIC_0000099.jpg", "ISIC_0000099.jpg lies in a folder that is named like no class"),
        ("test/Cowpox/MKP_00_01.jpg", "different images of one name; rename or remove one"),
    ],
)
def test_a_merge_that_cannot_be_read(tmp_path: Path, merge: Path, file: str, told: str) -> None:
    draw(merge / file)
    with pytest.raises(LesionliteError, match=told):
        prepare(PrepareConfig(tmp_path / "out", kaggle=str(merge)))
    assert not (tmp_path / "out").exists()


def test_a_second_run_does_nothing(tmp_path: Path, merge: Path) -> None:
    config = PrepareConfig(tmp_path / "out", kaggle=str(merge))
    assert not prepare(config).up_to_date
    assert prepare(config).up_to_date


# --- the download


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a `kagglehub` before the real one, if there is one."""

    def install(body: str) -> None:
        stub = f"def dataset_download(handle):\n    print('downloading', handle)\n    {body}\n"
        (tmp_path / "stub").mkdir()
        (tmp_path / "stub" / "kagglehub.py").write_text(stub)
        monkeypatch.syspath_prepend(tmp_path / "stub")

    monkeypatch.setitem(sys.modules, "kagglehub", None)  # so that the stub goes in the end
    del sys.modules["kagglehub"]
    return install


def test_a_handle_is_downloaded(
    tmp_path: Path,
    merge: Path,
    hub: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub(f"return {str(merge)!r}")
    assert len(prepared(tmp_path, "--kaggle", HANDLE, "--json")) == 72
    printed = capsys.readouterr()
    assert json.loads(printed.out)["counts"]["train"]["Monkeypox"]
    assert f"downloading {HANDLE}" in printed.err
    assert prepare(PrepareConfig(tmp_path / "out", kaggle=str(merge))).up_to_date


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise OSError('Name or service not known')", "(Name or service not known)"),
        ("raise Exception('403 Client Error.\\n\\nno permission')", "(403 Client Error. no"),
        ("raise ImportError('no module requests')", "(no module requests)"),
    ],
)
def test_a_download_that_fails(
    tmp_path: Path,
    hub: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    body: str,
    told: str,
) -> None:
    hub(body)
    assert cli.main(["prepare", "--kaggle", HANDLE, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error
    assert f"download https://www.kaggle.com/datasets/{HANDLE} and give its folder" in error
    assert not (tmp_path / "out").exists()


def test_without_kagglehub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    assert cli.main(["prepare", "--kaggle", HANDLE, "--out", str(tmp_path / "out")]) == 2
    assert "pip install 'lesionlite[kaggle]'" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["nowhere", "/nowhere/at/all", "a/b/c"])
def test_neither_folder_nor_handle(tmp_path: Path, given: str) -> None:
    with pytest.raises(LesionliteError, match=f"there is no folder {given}, and .* OWNER/NAME"):
        prepare(PrepareConfig(tmp_path / "out", kaggle=given))
