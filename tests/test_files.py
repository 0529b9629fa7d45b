import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from lesionlite.documents import read_json
from lesionlite.files import fingerprint, replacing, sha256_file, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    write_text(file, "old")
    for failure in (ValueError, KeyboardInterrupt):
        with pytest.raises(failure), replacing(file, ours=True) as temporary:
            temporary.write_text("half")
            raise failure
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


def test_a_folder_takes_a_folders_place(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with replacing(tmp_path / "x.mlpackage", ours=True) as temporary:
            assert temporary.suffix == ".mlpackage"
            temporary.mkdir()
            (temporary / "data").write_text(text)
    assert (tmp_path / "x.mlpackage" / "data").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_recognized_behind_other_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write() -> None:
        with replacing(tmp_path / "x"):
            raise RuntimeError("PytorchStreamWriter failed writing file")

    with pytest.raises(RuntimeError):
        write()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(OSError) as caught:
        write()
    assert caught.value.errno == errno.ENOSPC


def test_hashes_tell_changes(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("1")
    first = sha256_file(folder)
    (folder / "a").rename(folder / "b")
    second = sha256_file(folder)
    (folder / "b").write_text("2")
    assert len({first, second, sha256_file(folder)}) == 3
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1})


def test_json_is_read_back_with_null_for_what_json_lacks(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": [1, float("nan")], "b": float("inf")})
    assert read_json(tmp_path / "x.json") == {"a": [1, None], "b": None}
