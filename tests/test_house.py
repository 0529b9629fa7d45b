"""The rules of the house: one-way imports, late toolchains, a quick --help, no machine paths."""

import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from lesionlite import cli
from tests.paths import ROOT

PACKAGE = ROOT / "lesionlite"
LAYERS = ("shared", "train", "export", "mobile_app_stub", "benchmark", "top")
"""From the ground up: what every room shares, the rooms, and what users call."""
TOP = ("api", "cli", "__init__", "__main__")
HEAVY = {"coremltools", "litert_torch", "tensorflow", "ai_edge_litert", "ai_edge_quantizer", "onnx"}
HEAVY |= {"onnxruntime", "executorch", "jax", "matplotlib", "sklearn"}


def layer_of(module: str) -> str:
    """`lesionlite.train.data.folders` is of the layer train."""
    name = (module.split(".") + ["__init__"])[1]
    return name if name in LAYERS else "top" if name in TOP else "shared"


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


def breaches(module: str, source: str) -> list[str]:
    found = []
    for name, _ in imports(source):
        if name.split(".")[0] in LAYERS:
            found.append(f"{module} imports {name}, which is not importable once installed")
        if not name.startswith("lesionlite."):
            continue
        if LAYERS.index(layer_of(name)) > LAYERS.index(layer_of(module)):
            found.append(f"{module} imports {name}")
        if ".export.writers.to_" in module and name.startswith("lesionlite.export.writers.to_"):
            found.append(f"{module} imports another format, {name}")
    return found


def modules() -> dict[str, str]:
    """Source by name of module; the links in lesionlite/ are followed."""
    rooms = [ROOT / layer for layer in LAYERS[1:-1]]
    files = [*PACKAGE.glob("*.py"), *(file for room in rooms for file in room.rglob("*.py"))]
    names = {}
    for file in files:
        inside = file.relative_to(ROOT).with_suffix("").parts
        dotted = ".".join(inside if inside[0] == "lesionlite" else ("lesionlite", *inside))
        names[dotted.removesuffix(".__init__")] = file.read_text()
    return names


def circle(sources: dict[str, str]) -> list[str]:
    """Modules that import one another in a circle, imports for types alone and late ones, too."""
    wanted = {
        module: {n for n, _ in imports(source) if n in sources and n.count(".") > 0}
        for module, source in sources.items()
    }
    while free := [module for module, names in wanted.items() if not names & set(wanted)]:
        for module in free:
            del wanted[module]
    return sorted(wanted)


def test_imports_run_one_way() -> None:
    assert [b for module, source in modules().items() for b in breaches(module, source)] == []


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert circle(modules()) == []
    looped = "if TYPE_CHECKING:\n    from lesionlite.b import x"
    late = "def f():\n    from lesionlite.a import y"
    assert circle({"lesionlite.a": looped, "lesionlite.b": late}) == [
        "lesionlite.a",
        "lesionlite.b",
    ]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lesionlite.files", "from lesionlite.train.model import build"),
        ("lesionlite.train.x", "from lesionlite.export.run import export"),
        ("lesionlite.export.x", "def f():\n    import lesionlite.benchmark.run"),
        (
            "lesionlite.export.writers.to_onnx",
            "from lesionlite.export.writers.to_tflite import load",
        ),
        ("lesionlite.export.x", "from train.config import TrainConfig"),
    ],
)
def test_a_breach_is_found(module: str, source: str) -> None:
    assert breaches(module, source)


def test_heavy_toolchains_are_imported_late() -> None:
    early = [
        f"{module}: {name}"
        for module, source in modules().items()
        for name, at_once in imports(source)
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
