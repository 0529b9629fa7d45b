import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from lesionlite import cli
from lesionlite.errors import LesionliteError
from lesionlite.metrics import score
from lesionlite.outputs import MARK
from lesionlite.tables import class_table, markdown_lines, overall_table
from lesionlite.train.data.splits import read_domains
from lesionlite.train.results import class_distribution

LABELS = ("mole", "wart", "pox")


def test_domains_are_scored_apart() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 120)
    probabilities = rng.dirichlet(np.ones(3), 120)
    domains = {"dermoscopic": ["mole", "wart"], "photographs": ["pox", "unheard of"], "none": []}
    scores = score(probabilities, truth, LABELS, domains)
    assert list(scores.domains) == ["dermoscopic", "photographs"]
    here = truth < 2
    expected = f1_score(truth[here], probabilities.argmax(1)[here], average="weighted")
    assert scores.domains["dermoscopic"].weighted_f1 == pytest.approx(expected)
    assert sum(part.images for part in scores.domains.values()) == 120
    rows = overall_table(scores).rows
    assert [row[0] for row in rows] == ["all", "dermoscopic", "photographs"]
    assert rows[1][3] == pytest.approx(expected)


def test_a_domain_of_all_images_says_nothing_new() -> None:
    probabilities = np.eye(3)
    assert score(probabilities, np.arange(3), LABELS, {"all": list(LABELS)}).domains == {}


def test_the_class_distribution_counts_files(drawn: Path) -> None:
    labels = tuple(sorted(path.name for path in (drawn / "train").iterdir()))
    table = class_distribution(drawn, labels)
    assert table.columns == ("class", "train", "val", "test", "all", "share")
    for label, *counts, total, share in table.rows[:-1]:
        found = [len(list((drawn / s / label).iterdir())) for s in ("train", "val", "test")]
        assert counts == found and total == sum(found)
        assert share == pytest.approx(total / table.rows[-1][-2])
    alone = class_distribution(drawn / "test", labels)
    assert alone.columns == ("class", "images", "share")
    assert [row[1] for row in alone.rows] == [row[3] for row in table.rows]


def test_a_class_without_images_has_no_score() -> None:
    table = class_table(score(np.eye(3)[:2], np.arange(2), LABELS))
    assert table.rows[2] == ("pox", None, None, None, 0)
    assert "| pox |  |  |  | 0 |" in table.markdown()


def test_domains_that_are_no_lists(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text('{"domains": ["a"]}')
    with pytest.raises(LesionliteError, match="domains is a list of 1; expected an object"):
        read_domains(tmp_path / "test")
    assert read_domains(tmp_path / "elsewhere" / "deep") == {}


def test_evaluate_writes_every_table_and_figure(run: Path, drawn: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert cli.main(["evaluate", str(run), str(drawn), "--out", str(out)]) == 0
    pictures = {"curves.png", "weights.png", "confusion.png", "reliability.png"}
    tables = {"tables.md", "tables.json", "table1.csv", "table2.csv", "table3.csv"}
    assert {file.name for file in out.iterdir()} == {"test.json", *pictures, *tables, MARK}
    scores = json.loads((out / "test.json").read_text())
    document = json.loads((out / "tables.json").read_text())
    assert document["table2"]["rows"][0]["weighted F1"] == scores["weighted_f1"]
    with (out / "table3.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row, expected in zip(rows, scores["classes"], strict=True):
        assert row["class"] == expected["label"] and int(row["images"]) == expected["support"]
        if expected["support"]:
            assert float(row["F1"]) == pytest.approx(expected["f1"])
    assert "no medical meaning" in (out / "tables.md").read_text()


def test_a_cell_cannot_break_a_markdown_table() -> None:
    lines = markdown_lines(("a", "max |Δp|", "n"), [("x|y", "1", "2")], words=2)
    assert lines == ["| a | max \\|Δp\\| | n |", "|---|---|---:|", "| x\\|y | 1 | 2 |"]
