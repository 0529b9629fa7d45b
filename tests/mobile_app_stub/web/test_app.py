"""The web app's core: its own tests, by node, with cases that the Python reference made."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lesionlite.caching import cache_folder
from tests.mobile_app_stub.app_sources import STUB, replace
from tests.paths import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")

TESTS = 19  # in web/test
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
    assert f"# pass {TESTS}" in done.stdout


@pytest.mark.skipif(not NEWER.is_dir(), reason="Node 22 is not installed; see .ci/run")
def test_node_22_runs_the_tests_too(copy: Path) -> None:
    done = unit_tests(copy, NEWER)
    assert done.returncode == 0 and f"# pass {TESTS}" in done.stdout, done.stdout
    replace(
        copy / "package.json", "test/core.test.js test/library.test.js test/page.test.js", "test/"
    )  # Node 22 takes no folder
    assert unit_tests(copy, NEWER).returncode != 0


CORE = "lesionlite-web/src"
FAULTS = {
    "halves rounded up": (f"{CORE}/preprocess.js", "if (x - below !== 0.5) return", "return"),
    "the passes without rounding": (f"{CORE}/preprocess.js", "let sum = HALF", "let sum = 0"),
    "a narrow filter": (f"{CORE}/preprocess.js", "Math.max(scale, 1)", "1"),
    "a shifted row": (f"{CORE}/preprocess.js", "const to = this.filled * side * 3", "const to = 3"),
    "never unsure": (f"{CORE}/ranking.js", "< contract.unsure_below", "< 0"),
    "nothing rejected": (f"{CORE}/rejection.js", "> rejection.reject_above", "> Infinity"),
    "another middle": (f"{CORE}/rejection.js", "side / 4", "side / 3"),
    "NaN passes": (f"{CORE}/golden.js", ": NaN", ": 0"),
    "a sentence that German lacks": ("src/strings/de.js", 'cancel: "Abbrechen",', ""),
    "a place that German lacks": ("src/strings/de.js", "{most}", "100"),
    "a sentence that nobody says": (
        "src/strings/en.js",
        'cancel: "Cancel"',
        'c: "", cancel: "Cancel"',
    ),
    "a page that says another": ("static/index.html", ">Cancel<", ">Stop<"),
    "a style that knows left": (
        "static/style.css",
        "text-align: start;\n  font",
        "text-align: left;\n  font",
    ),
    "a style that moves": (
        "static/style.css",
        "  display: block;\n  inline-size: 100%;\n  max-block-size: 70vh",
        "  transition: all 1s",
    ),
    "a lost GPU": (f"{CORE}/webgpu.js", "device.lost.then(", "device.lost.catch("),
    "an error that nobody hears": (f"{CORE}/webgpu.js", '"uncapturederror"', '"error"'),
    "any licence": (f"{CORE}/notice.js", "throw new Error", "return String"),
    "any model": (f"{CORE}/classifier.js", "!== entry.sha256", "=== 0"),
    "any side": (f"{CORE}/contract.js", " || c.side < 32", ""),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_fails(name: str, copy: Path) -> None:
    file, right, wrong = FAULTS[name]
    replace(copy / file, right, wrong)
    done = unit_tests(copy)
    assert done.returncode != 0 and "not ok" in done.stdout


def test_no_constant_of_a_model_in_the_code() -> None:
    files = [*(STUB / "web" / "src").rglob("*.js"), *(STUB / "web" / CORE).glob("*.js")]
    assert len(files) > 20
    for file in files:
        text = re.sub("sha-?256", "", file.read_text(), flags=re.IGNORECASE)
        assert not [
            word for word in ("Melanoma", "Monkeypox", "256", "224", "384") if word in text
        ], file


def test_the_licence_is_the_repositorys() -> None:
    for folder in ("web", "web/lesionlite-web"):
        assert (STUB / folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_workflow_runs_what_the_readme_says() -> None:
    workflow = (STUB / "web" / ".github" / "workflows" / "web.yml").read_text()
    package = json.loads((STUB / "web" / "package.json").read_text())
    steps = re.findall(r"- run: (.*)", workflow)
    assert steps == ["npm ci", "npm test", "npm run build"]
    assert {"test", "build"} <= set(package["scripts"])
