"""What a report tells of instructions."""

import csv
import json
import re
from io import StringIO

from lesionlite.benchmark.report.html import html
from lesionlite.benchmark.report.markdown import csv_text, markdown
from lesionlite.benchmark.report.text import instruction_sentences
from tests.benchmark.test_report import made_up


def test_instructions_are_in_every_form() -> None:
    document = json.loads(json.dumps(made_up().document()))
    text = markdown(document)
    assert "## Instructions per query, on one thread" in text
    assert re.search(r"a-fp32.onnx \| gemm<a> 60%, 0x1a 30% \| 12,345,678", text)
    assert "<td>12345678</td>" in html(document) and "gemm&lt;a&gt; 60%" in html(document)
    rows = list(csv.DictReader(StringIO(csv_text(document))))
    assert [row["instructions"] for row in rows] == ["12345678", "", "", ""]
    assert instruction_sentences(document) == [
        "a-fp32.onnx: 12,345,678 instructions a query",
        "a-w8a8.tflite: it ended with 1",
    ]
    for row in document["rows"]:
        row["instructions"] = None
    assert "Instructions" not in markdown(document) + html(document)
    assert instruction_sentences(document) == []
