"""What the tests of the apps' sources share: where they lie, a fault to plant, a parser."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tree_sitter

STUB = Path(__file__).parents[1] / "mobile_app_stub"


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
