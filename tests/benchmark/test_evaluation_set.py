import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lesionlite.benchmark import evaluation_set as module
from lesionlite.benchmark.candidate import Candidate
from lesionlite.benchmark.evaluation_set import EvaluationSet
from lesionlite.benchmark.run import SCRATCH
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.layout import CONTRACT
from lesionlite.outputs import MARK
from lesionlite.train.data.images import decode, load_inputs
from lesionlite.train.data.splits import Split, evaluation_split


@pytest.fixture
def contract(run: Path) -> Contract:
    return Contract.read(run / CONTRACT)


@pytest.fixture
def split(drawn: Path, contract: Contract) -> Split:
    return evaluation_split(drawn, contract.labels)


def ask(evaluation: EvaluationSet, file: Path) -> np.ndarray:
    with Candidate(file, 1) as candidate:
        candidate.open()
        return evaluation.ask(candidate, file.name)


def test_images_are_as_load_inputs_has_them(
    split: Split, contract: Contract, tmp_path: Path
) -> None:
    evaluation = EvaluationSet(tmp_path / "x", split, contract)
    np.testing.assert_array_equal(np.load(evaluation.images), load_inputs(split.files, contract))
    evaluation.delete()
    assert not list(tmp_path.iterdir())


def test_nothing_is_deleted_but_what_was_written_here(
    split: Split, contract: Contract, tmp_path: Path
) -> None:
    scratch = tmp_path / SCRATCH
    few = Split(split.files[:2], split.targets[:2], split.labels)
    older = EvaluationSet(scratch, few.without(few.files[:1]), contract)
    in_ours = older.images.with_name("results.npy")  # of the user, inside a folder of ours
    alike = scratch / ("0" * 16) / "images.npy"  # of the user, named as ours
    notes = scratch / "notes.txt"
    alike.parent.mkdir()
    for file in (in_ours, alike, notes):
        file.write_text("mine")
    (scratch / ("a" * 16)).mkdir()  # empty, and not ours
    evaluation = EvaluationSet(scratch, few, contract)
    assert not older.images.exists() and evaluation.images.exists()
    evaluation.write("nearest", decode(few.files, contract), "")
    evaluation.delete()
    left = {path for path in scratch.rglob("*") if path.is_file()}
    assert left - {scratch / MARK} == {in_ours, alike, notes}
    assert all(file.read_text() == "mine" for file in (in_ours, alike, notes))
    assert (scratch / ("a" * 16)).is_dir()


def test_a_file_of_the_users_is_no_evaluation_set(
    split: Split, contract: Contract, tmp_path: Path
) -> None:
    few = Split(split.files[:1], split.targets[:1], split.labels)
    first = EvaluationSet(tmp_path / "x", few, contract)
    planted = tmp_path / "y" / first.images.parent.name / "images.npy"
    planted.parent.mkdir(parents=True)
    planted.write_text("mine")
    with pytest.raises(LesionliteError, match="did not write here"):
        EvaluationSet(tmp_path / "y", few, contract)
    assert planted.read_text() == "mine"


def test_shares_give_the_same_answers_as_one_process(
    artifacts: Path,
    split: Split,
    contract: Contract,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = artifacts / "mobilevitv2_050-fp32.onnx"
    alone = ask(EvaluationSet(tmp_path / "one", split, contract), file)
    opened = []
    monkeypatch.setattr(module, "MIN_SHARE", 20)
    monkeypatch.setattr(module, "Candidate", lambda *a: opened.append(a) or Candidate(*a))
    evaluation = EvaluationSet(tmp_path / "many", split, contract)
    evaluation._cores = 3
    together = ask(evaluation, file)
    assert len(opened) == 2 and np.isfinite(together).all()
    np.testing.assert_array_equal(alone, together)


def test_only_what_is_left_is_asked(
    artifacts: Path, split: Split, contract: Contract, tmp_path: Path
) -> None:
    file = artifacts / "mobilevitv2_050-fp32.onnx"
    whole = ask(EvaluationSet(tmp_path, split, contract), file)
    (kept,) = tmp_path.glob("*/answers-*.npy")
    answers = np.load(kept, mmap_mode="r+")
    answers[:5], answers[5:7] = 0.5, np.nan  # as if these two were missing, and to tell those kept
    answers.flush()
    again = ask(EvaluationSet(tmp_path, split, contract), file)
    assert (again[:5] == 0.5).all()
    np.testing.assert_array_equal(again[5:], whole[5:])


def test_other_images_begin_anew(
    artifacts: Path, split: Split, contract: Contract, tmp_path: Path
) -> None:
    EvaluationSet(tmp_path, split, contract)
    fewer = split.without(split.files[:1])
    evaluation = EvaluationSet(tmp_path, fewer, contract)
    folders = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(folders) == 1 and len(evaluation.truth) == len(split) - 1


def test_a_killed_benchmark_goes_on_where_it_stopped(
    artifacts: Path, run: Path, drawn: Path, split: Split, tmp_path: Path
) -> None:
    file, out = artifacts / "mobilevitv2_050-fp32.mlpackage", tmp_path / "out"
    command = [sys.executable, "-m", "lesionlite", "benchmark", str(file), "--run", str(run)]
    command += ["--data", str(drawn), "--out", str(out), "--seconds", "0.1", "--queries", "4"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as first:
        answered = 0
        while answered < 5:  # answers of the artifact; PyTorch's come first
            assert first.poll() is None, "it ended before it could be killed"
            time.sleep(0.05)
            answered = len(finite(out, 2))
        first.kill()
    before = finite(out, 2)
    assert len(before) < len(split)
    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert "going on where an interrupted benchmark stopped" in done.stderr
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"][0]["images"] == len(split)
    assert not (out / SCRATCH).exists() and (out / "report.json").exists()


def finite(out: Path, files: int) -> list[int]:
    """Rows answered in the file of answers made last, once there are so many files."""
    kept = sorted((out / SCRATCH).glob("*/answers-*.npy"), key=lambda path: path.stat().st_ctime)
    if len(kept) < files:
        return []
    newest = max(kept, key=lambda path: path.stat().st_mtime)
    return np.flatnonzero(np.isfinite(np.load(newest)).all(1)).tolist()  # type: ignore[no-any-return]
