import json
from dataclasses import replace
from pathlib import Path

import pytest

from lesionlite.contract import MEDICAL, Contract
from lesionlite.errors import LesionliteError

GOOD = Contract(labels=("a", "b"), side=64, mean=(0.1, 0.2, 0.3), note="drawn")


def test_json_round_trip() -> None:
    assert Contract.from_json(GOOD.to_json()) == GOOD


def test_contracts_older_than_the_disclaimer_keep_it() -> None:
    document = json.loads(GOOD.to_json())
    del document["disclaimer"]
    assert Contract.from_json(json.dumps(document)).disclaimer == MEDICAL


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"labels": ("a",)}, "at least 2"),
        ({"labels": ("a", "a")}, "unique"),
        ({"side": 24, "resize_side": 24}, "from 32 to 1024"),
        ({"resize": "stretch"}, "squash, shortest"),
        ({"resize_side": 32}, "from side"),
        ({"resize_side": 70}, "shortest"),
        ({"interpolation": "lanczos"}, "nearest, bilinear"),
        ({"std": (1.0, 0.0, 1.0)}, "above zero"),
        ({"std": (1.0, float("inf"), 1.0)}, r"std\[1\] is Infinity; expected a finite number"),
        ({"mean": "abc"}, 'mean is "abc"; expected a list of 3'),
        ({"labels": ("a", 3)}, r"labels\[1\] is 3; expected text"),
        ({"labels": ("a", "b\n")}, "do not fit into a line"),
        ({"side": 128.0}, "side is 128.0; expected a whole number"),
        ({"side": 100_000}, "from 32 to 1024"),
        ({"antialias": 1}, "antialias is 1; expected true or false"),
        ({"version": True}, "version is true; expected a whole number"),
        ({"unsure_below": 1.0}, "up to, not including, 1"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"logit_adjustment": (0.5,)}, "logit_adjustment has 1 of 2 numbers"),
        ({"prior": (0.5, 0.6)}, "add up to 1"),
        ({"prior": (1.5, -0.5)}, "0 or more"),
        ({"version": 99}, "version"),
    ],
)
def test_what_no_artifact_could_honour_is_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(LesionliteError, match=word):
        replace(GOOD, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"labels": 3}', '{"labels": ["a", "b"], "x": 1}'],
)
def test_text_that_is_no_contract(text: str) -> None:
    with pytest.raises(LesionliteError, match="somewhere holds no usable contract"):
        Contract.from_json(text, "somewhere")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LesionliteError, match="no contract at"):
        Contract.read(tmp_path / "contract.json")
