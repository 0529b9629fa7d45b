"""The model card holds what was measured, in the format that Hugging Face reads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard

from lesionlite import cli
from lesionlite.benchmark.report.model_card import Facts, model_card
from lesionlite.benchmark.statistics import f1_interval, recall_interval
from lesionlite.contract import MEDICAL, Contract
from lesionlite.metrics import weighted_f1
from lesionlite.rejection import STATISTICS, Rejection
from lesionlite.train.calibrate.rejection_report import Found, RejectionReport
from lesionlite.verdicts import MODEL_CARD
from tests.benchmark.test_report import LABELS, made_up

CONTRACT = Contract(LABELS, 128, note="drawn images", disclaimer=MEDICAL, unsure_below=0.4)
SETTINGS = {"model": "mobilevitv2_050", "counts": {label: 10 for label in LABELS}}


@pytest.fixture
def facts() -> Facts:
    report = replace(made_up(), split="test").document()
    return Facts(report, CONTRACT, SETTINGS, {}, {}, "no lesion is in two splits", "skin")


def test_hugging_face_reads_the_scores(facts: Facts) -> None:
    card = ModelCard(model_card(facts)).data
    assert card.library_name == "timm" and card.pipeline_tag == "image-classification"
    assert card.model_name == "mobilevitv2_050" and "onnx" in card.tags
    first, _, last = card.eval_results
    assert first.dataset_name == "skin" and first.dataset_split == "test"
    assert first.metric_value == pytest.approx(facts.report["reference"]["weighted_f1"], abs=1e-4)
    assert (last.metric_type, last.metric_name) == ("accuracy", "accuracy")


def test_it_tells_data_scores_calibration_files_and_limits(facts: Facts) -> None:
    text = model_card(facts)
    reference = facts.report["reference"]
    for label in LABELS:
        assert f"| {label} | 10 | {reference['support'][label]} |" in text
        assert (
            f"| {label} | {reference['support'][label]} | {reference['recall'][label]:.3f} ["
            in text
        )
    assert "No lesion is in two splits." in text
    assert 'says "not sure" where no probability reaches 0.40' in text
    for row in facts.report["rows"]:
        assert f"| {row['artifact']} | {row['status']} |" in text
    assert "It answers every image" in text and all(s in text for s in facts.report["caveats"])
    assert text.count(MEDICAL) == 2 and f"**{MEDICAL.rstrip('.')}.**" in text
    assert "None" not in text and "nan" not in text


def test_what_tells_images_of_another_kind_is_measured(facts: Facts) -> None:
    assert "Nothing tells them" in model_card(facts)
    size = len(LABELS) + STATISTICS
    row = (1.0,) * size
    rejection = Rejection(1e-4, (row,) * size, (row,), 9.0)
    found = RejectionReport(
        images=50,
        false_rejections=0.02,
        by_class={label: 0.1 * index for index, label in enumerate(LABELS)},
        others={"textures": Found(120, 0.987, 0.9)},
        left_out={LABELS[0]: Found(7, 0.55, 0.0)},
    )
    told = replace(
        facts,
        contract=replace(CONTRACT, rejection=rejection),
        settings={**SETTINGS, "rejection": found.document()},
        scores={"rejected": 0.031},
    )
    text = model_card(told)
    assert "2.0% of the 50 validation images and 3.1% of the test images" in text
    assert f"of {LABELS[2]}, which suffers most, for 20%" in text
    assert "| textures | 120 | 0.987 | 90% |" in text
    assert f"| {LABELS[0]}, left out | 7 | 0.550 | 0% |" in text
    assert "It answers every image" not in text


def test_data_of_another_kind_get_no_word_about_medicine(facts: Facts) -> None:
    contract = replace(CONTRACT, note="", disclaimer="")
    assert "medical" not in model_card(replace(facts, contract=contract)).lower()


def test_scores_of_validation_images_are_called_too_good(facts: Facts) -> None:
    report = replace(made_up(), split="val").document()
    text = model_card(replace(facts, report=report))
    assert report["too_good"] in text.split("## Scores")[1].split("## Operating")[0]
    assert "split: val" in text


def test_domains_are_shown_if_they_are_of_these_images(facts: Facts) -> None:
    part = {"images": 9, "weighted_f1": 0.5, "macro_f1": 0.4, "accuracy": 0.6}
    part["confusion"] = [[4, 1, 0], [1, 2, 0], [1, 0, 0]]
    scores = {"images": facts.report["reference"]["images"], "domains": {"photographs": part}}
    assert "| photographs | 9 | 0.500 [" in model_card(replace(facts, scores=scores))
    other = replace(facts, scores={**scores, "images": 1})
    assert "photographs" not in model_card(other)


def test_the_operating_point_is_shown_on_its_curve(facts: Facts) -> None:
    assert "unknown for how frequent" in model_card(facts)
    contract = replace(CONTRACT, prior=(0.5, 0.3, 0.2))
    assert f"{LABELS[0]} 50 %" in model_card(replace(facts, contract=contract))
    names = ("weighted_f1", "macro_f1", "balanced_accuracy", "accuracy")
    points = [
        {"tau": tau, **dict.fromkeys(names, 0.5 + tau), "recall": {LABELS[1]: 0.9 - tau}}
        for tau in (0.0, 0.1, 0.2)
    ]
    operating = {"chosen": points[1], "points": points, "floors": {LABELS[1]: 0.8}}
    text = model_card(replace(facts, contract=contract, operating=operating))
    assert f"recall, {LABELS[1]}" in text
    assert "| **0.1** | 0.600 | 0.600 | 0.600 | 0.600 | 0.800 |" in text


def test_intervals_are_those_of_resampled_images() -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice(3, 300, p=[0.7, 0.2, 0.1])
    answers = np.where(rng.random(300) < 0.3, rng.integers(0, 3, 300), truth)
    confusion = np.bincount(3 * truth + answers, minlength=9).reshape(3, 3)
    drawn = rng.integers(0, 300, (1000, 300))
    low, high = np.percentile([weighted_f1(truth[i], answers[i], 3) for i in drawn], [2.5, 97.5])
    found = f1_interval(confusion.tolist())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.008)
    assert recall_interval(0, 20).low == 0 and recall_interval(0, 20).high < 0.2
    assert recall_interval(10, 20).low == pytest.approx(0.299, abs=1e-3)  # Wilson's


def test_a_build_writes_the_card_anew_unless_somebody_edited_it(
    run: Path, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = ["build", str(drawn), "--run", str(run), "--out", str(tmp_path / "out")]
    build += ["--formats", "onnx", "--precisions", "fp32", "--queries", "4", "--seconds", "0.05"]
    card = tmp_path / "out" / MODEL_CARD
    assert cli.main(build) == 0
    first = card.read_text()
    assert ModelCard(first).data.model_name == "mobilevitv2_050" and "in two splits" in first
    assert str(card) in capsys.readouterr().out.replace("\n", "")
    assert cli.main([*build, "--threads", "1"]) == 0
    assert card.read_text() != first and "1 thread:" in card.read_text()
    card.write_text("my words")
    assert cli.main(build) == 0
    assert card.read_text() == "my words" and "was edited, and is kept" in capsys.readouterr().out
    card.unlink()
    assert cli.main(build) == 0
    assert "2 threads:" in card.read_text()
