import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lesionlite.benchmark import exam as exam_module
from lesionlite.benchmark.candidate import Candidate
from lesionlite.benchmark.exam import Exam
from lesionlite.benchmark.run import SCRATCH
from lesionlite.contract import Contract
from lesionlite.layout import CONTRACT
from lesionlite.train.data.images import load_inputs
from lesionlite.train.data.splits import Split, evaluation_split


@pytest.fixture
def contract(run: Path) -> Contract:
    return Contract.read(run / CONTRACT)


@pytest.fixture
def split(drawn: Path, contract: Contract) -> Split:
    return evaluation_split(drawn, contract.labels)


def ask(exam: Exam, file: Path) -> np.ndarray:
    with Candidate(file, 1) as candidate:
        candidate.open()
        return exam.ask(candidate, file.name)


def test_images_are_as_load_inputs_has_them(
    split: Split, contract: Contract, tmp_path: Path
) -> None:
    exam = Exam(tmp_path / "x", split, contract)
    np.testing.assert_array_equal(np.load(exam.images), load_inputs(split.files, contract))
    exam.forget()
    assert not list(tmp_path.iterdir())


def test_only_exams_are_deleted(split: Split, contract: Contract, tmp_path: Path) -> None:
    scratch, outside = tmp_path / SCRATCH, tmp_path / "outside"
    own, alike, mine = scratch / ("0" * 16), scratch / ("a" * 16), scratch / "mine"
    for folder in (own, alike, mine, outside):
        folder.mkdir(parents=True)
    (own / "images.npy").touch()
    (alike / "thesis.pdf").touch()
    (outside / "images.npy").touch()
    (scratch / ("b" * 16)).symlink_to(outside)
    few = Split(split.files[:2], split.targets[:2], split.labels)
    exam = Exam(scratch, few, contract)
    assert not own.exists() and mine.exists()
    exam.forget()
    assert {path.name for path in scratch.iterdir()} == {"mine", "a" * 16, "b" * 16}
    assert (alike / "thesis.pdf").exists() and (outside / "images.npy").exists()


def test_shares_give_the_same_answers_as_one_process(
    artifacts: Path,
    split: Split,
    contract: Contract,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = artifacts / "mobilevitv2_050-fp32.onnx"
    alone = ask(Exam(tmp_path / "one", split, contract), file)
    opened = []
    monkeypatch.setattr(exam_module, "WORTH_A_PROCESS", 20)
    monkeypatch.setattr(exam_module, "Candidate", lambda *a: opened.append(a) or Candidate(*a))
    exam = Exam(tmp_path / "many", split, contract)
    exam._cores = 3
    together = ask(exam, file)
    assert len(opened) == 2 and np.isfinite(together).all()
    np.testing.assert_array_equal(alone, together)


def test_only_what_is_left_is_asked(
    artifacts: Path, split: Split, contract: Contract, tmp_path: Path
) -> None:
    file = artifacts / "mobilevitv2_050-fp32.onnx"
    whole = ask(Exam(tmp_path, split, contract), file)
    (kept,) = tmp_path.glob("*/answers-*.npy")
    answers = np.load(kept, mmap_mode="r+")
    answers[:5], answers[5:7] = 0.5, np.nan  # as if these two were missing, and to tell those kept
    answers.flush()
    again = ask(Exam(tmp_path, split, contract), file)
    assert (again[:5] == 0.5).all()
    np.testing.assert_array_equal(again[5:], whole[5:])


def test_other_images_begin_anew(
    artifacts: Path, split: Split, contract: Contract, tmp_path: Path
) -> None:
    Exam(tmp_path, split, contract)
    fewer = split.without(split.files[:1])
    exam = Exam(tmp_path, fewer, contract)
    assert len(list(tmp_path.iterdir())) == 1 and len(exam.truth) == len(split) - 1


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
