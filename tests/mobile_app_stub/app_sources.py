"""What the tests of the apps' sources share: where they lie, a fault to plant, a parser."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tree_sitter

from lesionlite.mobile_app_stub.serve import build_site
from tests.paths import ROOT

STUB = ROOT / "mobile_app_stub"


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
