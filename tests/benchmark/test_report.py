"""The report in its four forms. No benchmark runs here: Parity and latencies are made up."""

import csv
import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from lesionlite.benchmark.against import compare_reports, past
from lesionlite.benchmark.config import BenchmarkConfig, RegressionConfig
from lesionlite.benchmark.elsewhere.check import CrossRuntimeCheck
from lesionlite.benchmark.instructions.count import Instructions
from lesionlite.benchmark.latency import Latency
from lesionlite.benchmark.parity import compare
from lesionlite.benchmark.report.html import _log_ticks, _ticks, html
from lesionlite.benchmark.report.markdown import CSV, csv_text, markdown
from lesionlite.benchmark.report.record import Report, Result, reference_document
from lesionlite.benchmark.report.text import show, verdict
from lesionlite.benchmark.resize import Drift
from lesionlite.contract import MEDICAL
from lesionlite.verdicts import REPORT_JSON, read_verdicts
from tests.paths import ROOT

LABELS = ("Acne & scars", "<b>Bite</b>", "Melanoma")
SCHEMA = json.loads(
    (ROOT / "benchmark" / "report" / "report.schema.json").read_text(encoding="utf-8")
)


ENOUGH = BenchmarkConfig(min_agreement=0.9)  # for 200 images


def made_up() -> Report:
    """Two artifacts that ran, the second a bad one, one without a runtime, one that did not run."""
    rng = np.random.default_rng(0)
    truth = rng.choice(3, 200, p=[0.7, 0.2, 0.1])
    logits = rng.normal(size=(200, 3)) + 2.5 * np.eye(3)[truth]
    names = tuple(f"{LABELS[t]}/{i}.png" for i, t in enumerate(truth))

    def answers(noise: float) -> np.ndarray:
        noisy = np.exp(logits + np.random.default_rng(1).normal(0, noise, logits.shape))
        return (noisy / noisy.sum(1, keepdims=True)).astype(np.float32)

    latency = Latency(2.0, 3.0, 3.1, 4.0, 2.2, 128, 0.02)

    def row(artifact: str, kind: str, precision: str, noise: float) -> Result:
        parity = compare(answers(noise), answers(0), truth, LABELS, names)
        status, reason = ("fail", "weighted F1 fell") if noise > 0.5 else ("pass", "")
        return Result(
            artifact, kind, precision, 10**6, "r 1", status, reason, parity, latency, 5.0, 9
        )

    return Report(
        reference=reference_document(answers(0), truth, LABELS, latency),
        rows=(
            replace(
                row("a-fp32.onnx", "onnx", "fp32", 0),
                instructions=Instructions(12_345_678, {"gemm<a> (l.so)": 0.6, "0x1a (l.so)": 0.3}),
            ),
            replace(
                row("a-w8a8.tflite", "tflite", "w8a8", 0.9),
                instructions=Instructions(reason="it ended with 1"),
            ),
            replace(
                row("a-w4.mlpackage", "coreml", "w4", 0.1),
                latency=None,
                load_ms=None,
                native=False,
            ),
            Result(
                "a-fp32.pte", "executorch", "fp32", 10, "", "unverified", "it could not be read"
            ),
        ),
        labels=LABELS,
        config=BenchmarkConfig(min_recall=("Melanoma=-0.5",)),
        note="drawn images, of no medical meaning",
        disclaimer=MEDICAL,
    )


def compared() -> Report:
    """The same with resize drift, and against an older report in which all was better."""
    report = made_up()
    drifts = tuple(
        Drift(row.artifact, name, change, 0.9)
        for name, change in (("nearest", -0.02), ("bicubic", -0.005))
        for row in report.rows[:3]
    )
    report = replace(report, drifts=drifts)
    old = json.loads(json.dumps(report.document()))
    for row in old["rows"]:
        row["size_bytes"] //= 2
    config = RegressionConfig(Path("old.json"))
    return replace(
        report, against=compare_reports(report.document(), past(old, "old.json"), config)
    )


def broken(**changes: object) -> dict[str, object]:
    """A report's document with changes to its first row."""
    document = json.loads(json.dumps(made_up().document()))
    document["rows"][0] |= changes
    return dict(document)


def test_the_json_is_as_its_schema_says() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(broken(), SCHEMA)
    jsonschema.validate(json.loads(json.dumps(compared().document())), SCHEMA)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": "skipped"},
        {"weighted_f1": None},  # only what is unverified may have none
        {"weighted_f1": 71.9},
        {"latency_ms": {"p50": 0, "p90": 1, "p99": 1, "mean": 1, "queries": 9, "noise": 0}},
        {"delta_interval": None},
        {"most_changed": [{"image": "x"}]},
    ],
)
def test_the_schema_finds_a_planted_fault(fault: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken(**fault), SCHEMA)


def test_four_files_are_written_and_agree(tmp_path: Path) -> None:
    report = made_up()
    report.write(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *(".lesionlite", "report.csv", "report.html", "report.json", "report.md")
    ]
    document = json.loads((tmp_path / "report.json").read_text())
    assert document == json.loads(json.dumps(report.document()))
    assert [
        (row.artifact, row.status, row.size_bytes) for row in read_verdicts(tmp_path / REPORT_JSON)
    ] == [(row.artifact, row.status, row.size_bytes) for row in report.rows]
    for render, suffix in ((markdown, "md"), (html, "html"), (csv_text, "csv")):
        assert (tmp_path / f"report.{suffix}").read_text() == render(document)


def test_the_words_say_what_they_must() -> None:
    text = markdown(made_up().document())
    for needed in (
        "**NOT passed**",
        "no medical meaning",
        "Neural Engine",
        "10,000 resamples",
        "a-w8a8.tflite: fail, weighted F1 fell",
        "a-fp32.pte: unverified",
        "Recall of Melanoma may change by no less than -0.5",
    ):
        assert needed in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len(tables) == 2 * (2 + 4) + (2 + 1)  # of one artifact, instructions were counted
    for table in (tables[:6], tables[6:12], tables[12:]):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1


def test_drift_and_regressions_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    document = compared().document()
    show(document)
    text = markdown(document)
    for said in (capsys.readouterr().out, text):
        assert "No artifact loses more than 0.01 of weighted F1 by resizing so: bicubic." in said
        assert "Some lose more: nearest." in said
        assert "a-fp32.onnx: 2.00 times as large, more than 1.05" in said
        assert "Something became worse than in old.json." in said
    assert "| a-w8a8.tflite | -0.0200 | -0.0050 |" in text
    page = html(document)
    assert "Against old.json" in page and "× 2.00" in page and "Other ways to resize" in page


def test_arm_is_told() -> None:
    report = made_up()
    good = CrossRuntimeCheck("a-fp32.onnx", "cortex-a76", "pass", "", 56, 1.0, 2e-7, 0.7, 0.7)
    bad = replace(good, where="cortex-a72", status="fail", reason="a probability differs")
    other = CrossRuntimeCheck("a-fp32.pte", "cortex-a76", "unverified", "no wheel", 56)
    document = replace(report, rows=report.rows[:1], elsewhere=(good, bad, other)).document()
    jsonschema.validate(json.loads(json.dumps(document)), SCHEMA)
    assert verdict(document) == "NOT every artifact passes" and not document["passed"]
    text = markdown(document)
    assert "| a-fp32.onnx | cortex-a76 | pass | 1.0000 | 2.0e-07 | 0.7000 | 0.7000 | 56 |" in text
    assert "a-fp32.onnx on cortex-a72: fail, a probability differs" in text
    assert "- Not run: no wheel." in text and "nothing of speed" in text
    assert "cortex-a72" in html(document)
    document = replace(
        report, rows=report.rows[:1], elsewhere=(good, other), config=ENOUGH
    ).document()
    assert verdict(document) == "Every artifact passes"


def test_what_became_worse_is_the_verdict_where_all_pass() -> None:
    report = compared()
    good = replace(report, rows=report.rows[:1])
    assert verdict(good.document()) == "Something became worse" and not good.passed
    good = replace(good, against=None, config=ENOUGH)
    assert verdict(good.document()) == "Every artifact passes"
    assert verdict(report.document()) == "NOT every artifact passes"


def test_a_noisy_machine_is_told() -> None:
    report = replace(made_up(), config=ENOUGH)
    assert not any("too noisy" in words for words in report.document()["caveats"])
    latency = report.rows[0].latency
    assert latency is not None
    noisy = replace(report.rows[0], latency=replace(latency, noise=0.3))
    (words,) = replace(report, rows=(noisy,)).document()["caveats"]
    assert "too noisy to compare a-fp32.onnx" in words
    (words,) = replace(report, rows=report.rows[:1], unsettled=("x.pte",)).document()["caveats"]
    assert "too noisy to compare x.pte" in words


def test_too_few_images_are_told_at_the_top(capsys: pytest.CaptureFixture[str]) -> None:
    report = replace(made_up(), rows=made_up().rows[:1])
    document = report.document()
    said = document["too_few_images"]
    assert said.startswith("200 test images are too few to judge fp32") and "1000 or more" in said
    assert document["caveats"][0] == said and document["passed"]
    assert verdict(document) == "Every artifact passes, but on too few images"
    text, page = markdown(document), html(document)
    assert text.count(said) == page.count(said) == 1
    assert text.index(said) < text.index("|---") and page.index(said) < page.index("</header>")
    show(document)
    assert " ".join(capsys.readouterr().out.split()).startswith(said)
    enough = replace(report, config=ENOUGH).document()
    assert enough["too_few_images"] == "" and verdict(enough) == "Every artifact passes"


def test_scores_of_validation_images_are_called_too_good_at_the_top(
    capsys: pytest.CaptureFixture[str],
) -> None:
    honest = replace(made_up(), config=ENOUGH, split="test").document()
    assert honest["too_good"] == "" and "200 test images" in markdown(honest)
    document = replace(made_up(), config=ENOUGH, split="val").document()
    said = document["too_good"]
    assert "which also chose the epoch" in said and document["caveats"][0] == said
    text, page = markdown(document), html(document)
    assert text.count(said) == page.count(said) == 1 and "200 val images" in text
    assert text.index(said) < text.index("|---") and page.index(said) < page.index("</header>")
    show(document)
    assert " ".join(capsys.readouterr().out.split()).startswith(said)


def test_answers_that_are_not_finite_are_a_failure_that_nothing_excuses() -> None:
    bad = Result("a-fp16.onnx", "onnx", "fp16", 9, "r 1", "fail", "3 of 9 answers are not finite")
    config = BenchmarkConfig(allow_unverified=("a-fp16.onnx",))
    report = replace(made_up(), rows=(made_up().rows[0], bad), config=config)
    assert not report.passed
    jsonschema.validate(json.loads(json.dumps(report.document())), SCHEMA)
    assert "a-fp16.onnx: fail, 3 of 9 answers" in markdown(report.document())
    assert "3 of 9 answers" in html(report.document())
    allowed = replace(report, rows=(report.rows[0], replace(bad, status="unverified")))
    assert allowed.passed  # this is what --allow-unverified is for


def test_the_table_is_one_line_per_artifact() -> None:
    rows = list(csv.DictReader(StringIO(csv_text(made_up().document()))))
    assert [row["artifact"] for row in rows] == [row.artifact for row in made_up().rows]
    assert tuple(rows[0]) == CSV
    bad, unread = rows[1], rows[3]
    assert float(bad["delta_low"]) < float(bad["delta_weighted_f1"]) < float(bad["delta_high"])
    assert unread["weighted_f1"] == unread["p50"] == "" and unread["status"] == "unverified"


def test_the_terminal_is_eighty_columns_wide(capsys: pytest.CaptureFixture[str]) -> None:
    show(made_up().document())
    said = capsys.readouterr().out
    table = [line for line in said.splitlines() if line.startswith(("onnx", "tflite", "coreml"))]
    assert len(table) == 3 and max(map(len, table)) <= 80
    assert "Neural Engine" in said and "NOT every artifact passes." in said


def test_the_page_needs_nothing_else_and_escapes_names() -> None:
    text = html(made_up().document())
    assert not re.search(r"(src|href)\s*=|@import|url\(|<script", text)
    assert "<b>Bite" not in text and "&lt;b&gt;Bite" in text
    assert text.index("NOT every artifact passes") < text.index("<table")
    assert text.count('class="matrix"') == 2  # PyTorch's and the worst artifact's
    assert "Images that changed most: a-w8a8.tflite" in text


def test_a_page_of_nothing_that_ran() -> None:
    report = made_up()
    text = html(replace(report, rows=report.rows[3:]).document())
    assert "it could not be read" in text and "matrix" not in text.split("</style>")[1]


@pytest.mark.parametrize(("low", "high"), [(0.7, 0.72), (-0.3, 1.2), (0.91234, 0.91239)])
def test_ticks_are_round_and_few(low: float, high: float) -> None:
    ticks = _ticks(low, high)
    assert 3 <= len(ticks) <= 8 and low <= min(ticks) and max(ticks) <= high
    assert len({round(b - a, 9) for a, b in zip(ticks, ticks[1:], strict=False)}) == 1


def test_logarithmic_ticks() -> None:
    assert _log_ticks(0.9, 26) == [1, 2, 5, 10, 20]
