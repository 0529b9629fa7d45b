"""The web app's core: its own tests, by node, with cases that the Python reference made."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lesionlite.train.data.cache import cache_folder
from tests.mobile_app_stub.app_sources import STUB, replace

pytestmark = pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")

NEWER = cache_folder() / "node-22" / "node_modules" / ".bin"


def unit_tests(web: Path, first: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run `npm test`, with the programs of a folder before all others."""
    path = os.pathsep.join([*([str(first)] if first else []), os.environ["PATH"]])
    return subprocess.run(
        ["npm", "test"],
        cwd=web,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PATH": path},
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(STUB / "cases.json", tmp_path)
    return Path(
        shutil.copytree(
            STUB / "web", tmp_path / "web", ignore=shutil.ignore_patterns("node_modules")
        )
    )


def test_the_core_agrees_with_the_reference(copy: Path) -> None:
    done = unit_tests(copy)
    assert done.returncode == 0, done.stdout
    assert "# pass 8" in done.stdout


@pytest.mark.skipif(not NEWER.is_dir(), reason="Node 22 is not installed; see .ci/run")
def test_node_22_runs_the_tests_too(copy: Path) -> None:
    done = unit_tests(copy, NEWER)
    assert done.returncode == 0 and "# pass 8" in done.stdout, done.stdout
    replace(copy / "package.json", "test/core.test.js", "test/")  # Node 22 takes no folder
    assert unit_tests(copy, NEWER).returncode != 0


FAULTS = {
    "halves rounded up": ("preprocess.js", "if (x - below !== 0.5) return", "return"),
    "the passes without rounding": ("preprocess.js", "let sum = HALF", "let sum = 0"),
    "a narrow filter": ("preprocess.js", "Math.max(scale, 1)", "1"),
    "a shifted row": ("preprocess.js", "const to = this.filled * side * 3", "const to = 3"),
    "never unsure": ("ranking.js", "< contract.unsure_below", "< 0"),
    "nothing rejected": ("rejection.js", "> rejection.reject_above", "> Infinity"),
    "another middle": ("rejection.js", "side / 4", "side / 3"),
    "NaN passes": ("golden.js", ": NaN", ": 0"),
    "any side": ("contract.js", " || c.side < 32", ""),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_fails(name: str, copy: Path) -> None:
    file, right, wrong = FAULTS[name]
    replace(copy / "src" / file, right, wrong)
    done = unit_tests(copy)
    assert done.returncode != 0 and "not ok" in done.stdout


def test_no_constant_of_a_model_in_the_code() -> None:
    for file in (STUB / "web" / "src").glob("*.js"):
        text = re.sub("sha-?256", "", file.read_text(), flags=re.IGNORECASE)
        assert not [
            word for word in ("Melanoma", "Monkeypox", "256", "224", "384") if word in text
        ], file
