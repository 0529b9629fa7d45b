import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from lesionlite.benchmark import against
from lesionlite.benchmark.against import past, read_report, sentences
from lesionlite.benchmark.config import RegressionConfig
from lesionlite.errors import LesionliteError
from tests.benchmark.test_report import made_up

CONFIG = RegressionConfig(Path("old.json"))


def compare_reports(new: Any, old: Any, config: RegressionConfig) -> Any:
    return against.compare_reports(new, past(old, "old.json"), config)


@pytest.fixture
def new() -> Any:
    return json.loads(json.dumps(made_up().document()))


def reasons(new: Any, old: Any, config: RegressionConfig = CONFIG) -> dict[str, str]:
    rows = compare_reports(new, old, config)["rows"]
    return {row["artifact"]: "; ".join(row["reasons"]) for row in rows if row["reasons"]}


def test_nothing_is_worse_than_itself(new: Any) -> None:
    found = compare_reports(new, deepcopy(new), CONFIG)
    assert found["passed"] and found["caveats"] == []
    assert [row["latency"] for row in found["rows"]] == [1, 1, None, None]
    assert [row["weighted_f1"] for row in found["rows"]] == [0, 0, 0, None]
    assert sentences(found) == ["Nothing became worse than in old.json."]


def test_a_machine_that_is_slower_as_a_whole_is_no_regression(new: Any) -> None:
    old = deepcopy(new)
    for latency in [new["reference"]["latency_ms"], *(r["latency_ms"] for r in new["rows"])]:
        if latency:
            latency["p50"] *= 3
    assert reasons(new, old) == {}
    new["rows"][0]["latency_ms"]["p50"] *= 1.3
    assert reasons(new, old) == {"a-fp32.onnx": "1.30 times as slow, more than 1.2"}
    assert reasons(new, old, RegressionConfig(max_slowdown=1.4)) == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size_bytes": 1_100_000}, "1.10 times as large, more than 1.05"),
        ({"weighted_f1": 0.5}, "weighted F1 fell by"),
        ({"status": "fail"}, "it passed then, and is fail now"),
    ],
)
def test_what_became_worse_is_found(new: Any, change: dict[str, Any], said: str) -> None:
    old = deepcopy(new)
    new["rows"][0] |= change
    assert said in reasons(new, old)["a-fp32.onnx"]


def test_instructions_are_judged_on_any_machine(new: Any) -> None:
    old = deepcopy(new)
    old["machine"]["processor"] = "Other"
    new["rows"][0]["instructions"]["per_query"] = int(12_345_678 * 1.02)
    assert reasons(new, old) == {"a-fp32.onnx": "1.020 times as many instructions, more than 1.01"}
    assert reasons(new, old, RegressionConfig(max_more_instructions=1.03)) == {}
    assert compare_reports(new, old, CONFIG)["rows"][1]["instructions"] is None  # not counted
    del old["rows"][0]["instructions"]  # as in reports of older versions
    assert reasons(new, old) == {}


def test_what_is_gone_is_found_and_what_is_new_is_welcome(new: Any) -> None:
    old = deepcopy(new)
    new["rows"][0]["artifact"] = "b-fp32.onnx"
    assert reasons(new, old) == {"a-fp32.onnx": "it is no longer there"}


def test_what_cannot_be_compared_is_not_judged(new: Any) -> None:
    old = deepcopy(new)
    old["machine"]["processor"], old["reference"]["support"] = "Other", {"Melanoma": 1}
    new["rows"][0]["latency_ms"]["p50"] *= 9
    new["rows"][0]["weighted_f1"] = 0
    found = compare_reports(new, old, CONFIG)
    assert found["passed"] and len(found["caveats"]) == 2
    assert "latency was not judged" in found["caveats"][0] and "Other" in found["caveats"][0]


def test_a_file_that_is_no_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LesionliteError, match=r"--against: there is no .*x.json"):
        read_report(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(LesionliteError, match="is no report.json"):
        read_report(tmp_path / "x.json")
    with pytest.raises(LesionliteError, match="--max-slowdown is 0.5"):
        RegressionConfig(max_slowdown=0.5)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("artifact", 3, r"rows\[0\].artifact is 3; expected text"),
        ("size_bytes", 0, r"rows\[0\].size_bytes is 0; expected more than 0"),
        ("size_bytes", None, r"rows\[0\].size_bytes is null"),
        ("status", "good", "expected one of: pass, fail, unverified"),
        ("latency_ms", {"p50": 0}, r"rows\[0\].latency_ms.p50 is 0"),
        ("latency_ms", [1], r"rows\[0\].latency_ms is a list of 1"),
        ("weighted_f1", "0.7", r"rows\[0\].weighted_f1 is"),
    ],
)
def test_a_row_of_another_shape_is_named(
    new: Any, tmp_path: Path, field: str, value: object, said: str
) -> None:
    new["rows"][0][field] = value
    (tmp_path / "old.json").write_text(json.dumps(new))
    with pytest.raises(LesionliteError, match=said):
        read_report(tmp_path / "old.json")


@pytest.mark.parametrize("change", [{"rows": {}}, {"rows": [[]]}, {"rows": [None]}, {"machine": 1}])
def test_a_report_of_another_shape_is_named(
    new: Any, tmp_path: Path, change: dict[str, object]
) -> None:
    (tmp_path / "old.json").write_text(json.dumps(new | change))
    with pytest.raises(LesionliteError, match="is no report.json .* expected"):
        read_report(tmp_path / "old.json")
    del new["reference"]["latency_ms"]
    (tmp_path / "old.json").write_text(json.dumps(new))
    with pytest.raises(LesionliteError, match="reference.latency_ms is missing"):
        read_report(tmp_path / "old.json")
