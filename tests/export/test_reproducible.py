"""The same checkpoint and flags give the same bytes, in any process, anywhere."""

import io
import json
import os
import shutil
import subprocess
import sys
import uuid
import zipfile
from pathlib import Path

import pytest
import torch

from lesionlite.export.config import ExportConfig
from lesionlite.export.formats import FORMATS
from lesionlite.export.manifest import Artifact, Manifest, read_manifest
from lesionlite.export.run import export
from lesionlite.export.verify import verify
from lesionlite.export.writers import to_torchscript
from lesionlite.export.writers.mlpackage import DATE, DEBUG, MODEL, make_reproducible
from lesionlite.files import sha256_file
from tests.conftest import relist
from tests.paths import ROOT


def differing(one: Path, other: Path) -> list[str]:
    """Names of the artifacts whose bytes differ between two folders."""

    def hashes(folder: Path) -> dict[str, str]:
        return {row.artifact: sha256_file(folder / row.artifact) for row in read_manifest(folder)}

    first, second = hashes(one), hashes(other)
    assert first.keys() == second.keys()
    return [name for name in first if first[name] != second[name]]


# 400 days from now, for whatever asks Python what day it is: date.today asks time.time. The class
# datetime cannot be replaced: coremltools 9.0 crashes then.
ANOTHER_DAY = """
import time
SHIFT = 400 * 86400
now, local, utc, written = time.time, time.localtime, time.gmtime, time.strftime
time.time = lambda: now() + SHIFT
time.localtime = lambda seconds=None: local(time.time() if seconds is None else seconds)
time.gmtime = lambda seconds=None: utc(time.time() if seconds is None else seconds)
time.strftime = lambda form, given=None: written(form, given or time.localtime())
"""


def elsewhere(folder: Path) -> dict[str, str]:
    """The environment of another day and zone, with other hashes, words and threads."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(ANOTHER_DAY)
    threads = "2" if os.environ.get("OMP_NUM_THREADS") == "1" else "1"
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "PYTHONHASHSEED": "4711",
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "POSIX",
        "PYTHONUTF8": "1",  # or else the terminal of POSIX is ASCII
        "OMP_NUM_THREADS": threads,
    }


@pytest.fixture(scope="session")  # as `artifacts`, so that it does not have to wait for them
def again(run: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts of the run once more, by another process in another environment."""
    folder = tmp_path_factory.mktemp("again")
    command = [sys.executable, "-m", "lesionlite", "export", run, "--data", drawn, "--out", "files"]
    done = subprocess.run(
        [*map(str, command), "--formats", *FORMATS, "--calibration", "14", "--tuning-steps", "8"],
        cwd=folder,
        env=elsewhere(folder / "elsewhere"),
        umask=0o077,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder / "files"


@pytest.mark.slow
def test_elsewhere_it_is_another_day(tmp_path: Path) -> None:
    """Or `again` would prove nothing."""
    code = (
        "import datetime, time, os, torch; print(datetime.date.today().toordinal(), "
        "time.gmtime().tm_year, time.strftime('%Z%Y'), hash('a'), torch.get_num_threads())"
    )
    given = {"args": [sys.executable, "-c", code], "capture_output": True, "text": True}
    here = subprocess.run(**given, check=True).stdout.split()
    there = subprocess.run(**given, env=elsewhere(tmp_path / "there"), check=True).stdout.split()
    assert int(there[0]) - int(here[0]) in (400, 401)
    assert all(one != other for one, other in zip(here, there, strict=True))


def test_another_process_in_another_place_writes_the_same_bytes(
    again: Path, artifacts: Path
) -> None:
    assert differing(artifacts, again) == []
    assert Manifest.read(artifacts) == Manifest.read(again)
    assert verify(again).passed


def test_a_planted_difference_is_seen(again: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(again, tmp_path / "copy"))
    assert differing(again, folder) == []
    weights = folder / "mobilevitv2_050-w8.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    for file in (weights, folder / "mobilevitv2_050-fp16.onnx"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    relist(folder)
    changed = ["mobilevitv2_050-fp16.onnx", "mobilevitv2_050-w8.mlpackage"]
    assert differing(again, folder) == changed
    assert Manifest.read(again) != Manifest.read(folder)


def scatter(package: Path) -> None:
    """New random identifiers, as coremltools would give."""
    file = package / "Manifest.json"
    text = file.read_text()
    for old in json.loads(text)["itemInfoEntries"]:
        text = text.replace(old, str(uuid.uuid4()))
    file.write_text(text)


def test_pinned_packages_do_not_hang_on_chance(artifacts: Path, tmp_path: Path) -> None:
    from coremltools.proto import Model_pb2

    given = artifacts / "mobilevitv2_050-fp16.mlpackage"
    package = Path(shutil.copytree(given, tmp_path / given.name))
    scatter(package)
    assert sha256_file(package) != sha256_file(given)
    (package / DEBUG).write_text("{}")
    spec = Model_pb2.Model()
    spec.ParseFromString((package / MODEL).read_bytes())
    assert not [key for key in spec.description.metadata.userDefined if "date" in key]
    spec.description.metadata.userDefined[DATE] = "2026-01-01"
    (package / MODEL).write_bytes(spec.SerializeToString())
    make_reproducible(package)
    assert sha256_file(package) == sha256_file(given)


def test_opening_a_package_leaves_it_as_it_is(artifacts: Path, tmp_path: Path) -> None:
    """coremltools writes a package's Manifest.json again, in its own style, when it opens one."""
    import coremltools as ct

    given = artifacts / "mobilevitv2_050-w8.mlpackage"
    package = Path(shutil.copytree(given, tmp_path / given.name))
    ct.utils.load_spec(str(package))
    assert sha256_file(package) == sha256_file(given)
    file = package / "Manifest.json"  # planted fault: the same JSON in another style
    file.write_text(json.dumps(json.loads(file.read_text()), indent=2))
    other = sha256_file(package)
    ct.utils.load_spec(str(package))
    assert sha256_file(package) != other


def test_map_entries_are_written_in_order(artifacts: Path, tmp_path: Path) -> None:
    """Planted fault: the same model, its user-defined metadata entered the other way round."""
    from coremltools.proto import Model_pb2

    given = artifacts / "mobilevitv2_050-fp16.mlpackage"
    package = Path(shutil.copytree(given, tmp_path / given.name))
    spec = Model_pb2.Model()
    spec.ParseFromString((package / MODEL).read_bytes())
    entries = spec.description.metadata.userDefined
    kept = dict(entries)
    assert len(kept) > 1
    lonely = []
    for key in sorted(kept, reverse=True):  # one entry at a time: the order on the wire
        part = Model_pb2.Model()
        part.description.metadata.userDefined[key] = kept[key]
        lonely.append(part.SerializeToString())
    entries.clear()
    (package / MODEL).write_bytes(spec.SerializeToString(deterministic=True) + b"".join(lonely))
    assert sha256_file(package) != sha256_file(given)
    make_reproducible(package)
    assert sha256_file(package) == sha256_file(given)


def torchscript(run: Path, out: Path) -> Artifact:
    (row,) = export(run, out, ExportConfig(formats=("torchscript",), precisions=("fp32",)))
    return row


def test_torchscript_forgets_the_traces_before_it(
    run: Path, artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (listed,) = [row for row in read_manifest(artifacts) if row.artifact.endswith("fp32.ptl")]
    for _ in range(3):
        torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2))
    assert torchscript(run, tmp_path / "a") == listed
    monkeypatch.setattr(to_torchscript, "_renumber_classes", lambda script: script)
    assert torchscript(run, tmp_path / "b") != listed


def contents(path: Path) -> bytes:
    """All bytes of an artifact, those of its ZIP's entries unpacked as well."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    data = b"".join(file.read_bytes() for file in files)
    if path.is_file() and zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(path) as archive:
            data += b"".join(archive.read(name) for name in archive.namelist())
    return data


def names_the_machine(data: bytes) -> bool:
    return any(str(place).encode() in data for place in (ROOT, sys.prefix, torch.__file__))


def test_no_artifact_names_the_machine_that_made_it(
    run: Path, artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for row in read_manifest(artifacts):
        assert not names_the_machine(contents(artifacts / row.artifact)), row.artifact
    monkeypatch.setattr(
        to_torchscript, "_strip_stack_traces", lambda content, rename=bytes: content
    )
    planted = torchscript(run, tmp_path)
    assert names_the_machine(contents(tmp_path / planted.artifact))
