import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from lesionlite.documents import as_record, parse_json, read_json, read_record, to_json
from lesionlite.errors import LesionliteError
from lesionlite.settings import refuse_settings, refuse_types


@dataclass(frozen=True)
class Part:
    size: int
    share: float = 1.0


@dataclass(frozen=True)
class Whole:
    name: str
    parts: tuple[Part, ...]
    pair: tuple[float, float] = (0.0, 1.0)
    kind: Literal["a", "b"] = "a"
    counts: dict[str, int] | None = None
    done: bool = False

    def __post_init__(self) -> None:
        if self.name == "bad":
            raise LesionliteError("name is bad")


GOOD = {"name": "x", "parts": [{"size": 1, "share": 1}], "pair": [1, 2], "counts": {"a": 1}}


def test_a_document_becomes_a_record(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())
    found = read_record(tmp_path / "x.json", Whole)
    assert found == Whole("x", (Part(1, 1.0),), (1.0, 2.0), "a", {"a": 1})
    assert isinstance(found.parts[0].share, float)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": 3}, "x.json: name is 3; expected text"),
        ({"name": "\ud800"}, "expected text"),
        ({"name": "bad"}, "x.json: name is bad"),
        ({"parts": {}}, "parts is an object; expected a list"),
        ({"parts": [{"size": 1}, {"size": "1"}]}, r'parts\[1\]\.size is "1"; expected a whole'),
        ({"parts": [{"size": True}]}, r"parts\[0\]\.size is true; expected a whole number"),
        ({"parts": [{"size": 1.0}]}, "is 1.0; expected a whole number"),
        ({"parts": [{}]}, r"parts\[0\]\.size is missing; expected a whole number"),
        ({"parts": [{"size": 1, "share": 10**400}]}, "expected a finite number"),
        ({"parts": [{"size": 1, "share": float("nan")}]}, "share is NaN; expected a finite number"),
        ({"pair": [1]}, "pair is a list of 1; expected a list of 2"),
        ({"kind": "c"}, 'kind is "c"; expected one of: a, b'),
        ({"counts": {"a": "1"}}, r'counts\.a is "1"; expected a whole number'),
        ({"counts": 3}, "counts is 3; expected an object or nothing"),
        ({"done": 1}, "done is 1; expected true or false"),
        ({"more": 1}, "more is 1; expected no such field"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(LesionliteError, match=words):
        as_record({**GOOD, **change}, Whole, "x.json")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (b"{", "is no JSON document"),
        (b"\xff{}", "not text in UTF-8"),
        (b"[NaN]", "NaN, which JSON does not have"),
        (b"[" * 100_000, "is no JSON document"),
    ],
)
def test_what_is_no_json_is_refused(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(LesionliteError, match=words):
        read_json(tmp_path / "x.json")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(LesionliteError, match="no regular file"):
        read_json(tmp_path / "x.json")
    assert read_json(tmp_path / "none.json") is None


def test_what_is_written_is_json() -> None:
    text = to_json({"a": [float("inf"), 1.5], "b": "\udcff"})
    assert parse_json(text, "it")["a"] == [None, 1.5]
    text.encode()


@dataclass(frozen=True)
class Settings:
    rate: float = 1.0
    many: tuple[int, ...] = ()
    place: Path | None = None


def test_settings_are_finite_and_of_their_type() -> None:
    refuse_types(Settings(2, (1, 2), Path("x")))
    for settings, words in (
        (Settings(float("nan")), "--rate is NaN; it must be a finite number"),
        (Settings(rate="1"), '--rate is "1"'),  # type: ignore[arg-type]
        (Settings(many=(1, 2.5)), "--many.* is 2.5; it must be a whole number"),  # type: ignore[arg-type]
    ):
        with pytest.raises(LesionliteError, match=words):
            refuse_types(settings)
    with pytest.raises(LesionliteError, match="--rate is 1.0; it must be above 2"):
        refuse_settings(Settings(), [("rate", False, "above 2")])
