"""What the tests of the apps' sources share: where they lie, a fault to plant, a parser."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import tree_sitter

from lesionlite.caching import cache_folder
from lesionlite.mobile_app_stub.serve import build_site
from tests.conftest import Shared
from tests.paths import ROOT

STUB = ROOT / "mobile_app_stub"
ANDROID = STUB / "android"
TOOLS = cache_folder() / "kotlin" / "node_modules"
KOTLIN = TOOLS / "kotlin-compiler" / "lib"
JARS = [
    Path("/usr/share/java") / f"{name}.jar" for name in ("com.android.json", "junit4", "hamcrest")
]
has_java = shutil.which("java") is not None
needs_kotlin = pytest.mark.skipif(
    not (has_java and KOTLIN.is_dir() and all(jar.is_file() for jar in JARS)),
    reason=f"no Java, no Kotlin in {TOOLS}, or no JUnit: see mobile_app_stub/android/README.md",
)


def replace(path: Path, right: str, wrong: str) -> None:
    """Plant a fault where the right text stands, once."""
    text = path.read_text(encoding="utf-8")
    assert text.count(right) == 1
    path.write_text(text.replace(right, wrong), encoding="utf-8")


@contextmanager
def fault(path: Path, right: str, wrong: str) -> Iterator[None]:
    """The same, and taken out again."""
    text = path.read_text(encoding="utf-8")
    replace(path, right, wrong)
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


def syntax_errors(grammar: Any, text: str) -> list[Any]:
    """Where a tree-sitter grammar, a module, finds an error or something missing."""
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    errors, nodes = [], [parser.parse(text.encode()).root_node]
    while nodes:
        node = nodes.pop()
        if node.is_error or node.is_missing:
            errors.append(node.start_point)
        nodes += node.children
    return errors


def rebuild_web(app: Path, folder: Path, file: str, right: str, wrong: str) -> Path:
    """The web app with a fault in its source, built in another folder."""
    for name in ("src", "static", "model"):
        shutil.copytree(app / name, folder / name)
    for name in ("build.mjs", "package.json"):
        shutil.copy(app / name, folder)
    (folder / "node_modules").symlink_to(app / "node_modules")
    replace(folder / "src" / file, right, wrong)
    build_site(folder)
    return folder


def java(*arguments: str, cwd: Path = ANDROID) -> "subprocess.CompletedProcess[str]":
    run = ["java", *arguments]
    return subprocess.run(run, cwd=cwd, capture_output=True, text=True, timeout=300)


def class_path(*folders: Path) -> str:
    """Kotlin's library and JUnit, after compiled classes."""
    kotlin = [KOTLIN / f"{name}.jar" for name in ("kotlin-stdlib", "kotlin-test")]
    return ":".join(map(str, [*folders, *JARS, *kotlin, KOTLIN / "kotlin-test-junit.jar"]))


def kotlin(
    source: Path, out: Path, *classes: Path, flags: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    """Compile a folder of Kotlin sources against compiled classes; a warning is an error."""
    compiler = ["-cp", str(KOTLIN / "kotlin-compiler.jar")]
    compiler += ["org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-kotlin-home", str(KOTLIN.parent)]
    strict = ["-Werror", "-Wextra", "-progressive", "-no-stdlib", "-no-reflect", *flags]
    names = ["-module-name", out.name, "-cp", class_path(*classes), "-d", str(out), str(source)]
    return java("-Xmx1g", *compiler, *strict, "-jvm-target", "17", *names)


def compiled(source: Path, out: Path, *classes: Path, flags: tuple[str, ...] = ()) -> None:
    done = kotlin(source, out, *classes, flags=flags)
    assert done.returncode == 0, done.stderr


def core_classes(shared: Shared) -> Path:
    """The Android app's core and its tests, compiled once."""
    return shared("kotlin-core", lambda out: compiled(ANDROID / "core" / "src", out))


def printed(*folders: Path, main: str, flags: tuple[str, ...] = ()) -> dict[str, str]:
    """What a compiled program prints, by what comes before the first colon of a line."""
    program, *arguments = main.split()
    done = java(*flags, "-Xmx256m", "-cp", class_path(*folders), program, *arguments)
    assert done.returncode == 0, done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


def strings(main: Path, language: str = "") -> dict[str, str]:
    """Texts of an Android module, by name."""
    file = main / "res" / f"values{language}" / "strings.xml"
    nodes = ElementTree.parse(file).getroot()
    return {node.attrib["name"]: node.text or "" for node in nodes}
