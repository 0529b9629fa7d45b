"""The rules of the house: one-way imports, late toolchains, a quick --help, no machine paths."""

import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lesionlite import cli

ROOT = Path(__file__).parents[1]
LAYERS = ("train", "export", "benchmark", "lesionlite")
HEAVY = {"coremltools", "litert_torch", "tensorflow", "ai_edge_litert", "ai_edge_quantizer", "onnx"}
HEAVY |= {"onnxruntime", "executorch", "jax", "matplotlib", "sklearn"}


def imports(source: str) -> Iterator[tuple[str, bool]]:
    """Names of imported modules, and whether the import runs as soon as the module is imported."""
    tree = ast.parse(source)
    deferred = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.If)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        yield from ((name, id(node) not in deferred) for name in names)


def breaches(layer: str, file: str, source: str) -> list[str]:
    found = []
    for name, _ in imports(source):
        top = name.split(".")[0]
        if top in LAYERS and LAYERS.index(top) > LAYERS.index(layer):
            found.append(f"{file} imports {name}")
        if file.startswith("to_") and name.startswith("export.to_"):
            found.append(f"{file} imports another format, {name}")
    return found


def modules() -> list[tuple[str, Path]]:
    files = [(layer, file) for layer in LAYERS[:3] for file in (ROOT / layer).glob("*.py")]
    return [*files, ("lesionlite", ROOT / "lesionlite.py")]


def test_imports_run_one_way() -> None:
    found = [b for layer, file in modules() for b in breaches(layer, file.name, file.read_text())]
    assert found == []


@pytest.mark.parametrize(
    ("layer", "file", "source"),
    [
        ("train", "x.py", "from lesionlite.export.run import export"),
        ("export", "x.py", "def f():\n    import lesionlite.export.mil.execute"),
        ("export", "to_onnx.py", "from lesionlite.export.to_tflite import load"),
    ],
)
def test_a_breach_is_found(layer: str, file: str, source: str) -> None:
    assert breaches(layer, file, source)


def test_heavy_toolchains_are_imported_late() -> None:
    early = [
        f"{file.name}: {name}"
        for _, file in modules()
        for name, at_once in imports(file.read_text())
        if at_once and name.split(".")[0] in HEAVY
    ]
    assert early == []


def test_the_command_line_does_not_wait_for_torch() -> None:
    code = "import sys, lesionlite; print({'torch', 'numpy', 'tyro'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert out.stdout.strip() == "set()"


def test_help_answers_at_once() -> None:
    def seconds() -> float:
        started = time.perf_counter()
        command = [sys.executable, "-m", "lesionlite", "--help"]
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        return time.perf_counter() - started

    assert min(seconds() for _ in range(5)) < 0.5


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_summaries_are_the_docstrings(name: str) -> None:
    module, summary = cli.COMMANDS[name]
    command = getattr(__import__(module, fromlist=["x"]), name.capitalize())
    assert command.__doc__.splitlines()[0] == summary


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_flag_is_explained(name: str) -> None:
    command = [sys.executable, "-m", "lesionlite", name, "--help"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    flags = re.findall(r"│ (--[a-z0-9-]+)", text)
    assert flags
    words = re.sub(r"[│\s]+", " ", text)
    for flag in flags:
        assert re.search(re.escape(flag) + r" .{0,60}?[A-Za-z]{3,} [a-z]{2,}", words), flag


def test_nothing_names_this_machine() -> None:
    files = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT).stdout
    for name in files.split():
        if (ROOT / name).suffix in (".py", ".md", ".toml", ".txt", "") and (ROOT / name).is_file():
            text = (ROOT / name).read_text()
            # Written so that this line does not find itself.
            assert not re.search(r"/wor[k]/|/roo[t]/|pypi[.]org|python[h]osted", text), name
            if not name.startswith("tests/") and name != "CONTRIBUTING.md":
                assert "../shared" not in text, name
