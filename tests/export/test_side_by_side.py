from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from lesionlite.errors import LesionliteError
from lesionlite.export import side_by_side
from lesionlite.export.config import ExportConfig
from lesionlite.export.conversion import conversions
from lesionlite.export.formats import FORMATS
from lesionlite.export.manifest import MANIFEST
from lesionlite.export.run import export
from lesionlite.export.side_by_side import GIGABYTES, most_jobs
from lesionlite.files import sha256_file
from lesionlite.workers import Worker

FEW = ExportConfig(
    ("torchscript", "onnx", "coreml"), ("fp32", "w8a8", "w4"), calibration=14, tuning_steps=2
)
FLOATS = ExportConfig(("torchscript", "onnx"), ("fp32",), jobs=2)


def test_the_files_are_the_same_in_one_process_and_in_several(
    run: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {}
    # Whoever opened a TorchScript file here chose an engine; other processes did not.
    monkeypatch.setattr(torch.backends.quantized, "engine", "onednn")
    for jobs in (1, 3):  # which process converts what is chance
        rows = export(run, tmp_path / str(jobs), replace(FEW, jobs=jobs), drawn)
        made[jobs] = {row.artifact: row.sha256 for row in rows}
        for row in rows:
            assert sha256_file(tmp_path / str(jobs) / row.artifact) == row.sha256
    assert made[1] == made[3] and len(made[1]) == 7
    assert torch.backends.quantized.engine == "onednn"  # the user's choice stays


def _another_format(*given: object, line: Callable[..., str]) -> str:
    return line(*given).replace('"onnx"', '"none"')


@pytest.mark.parametrize(
    ("name", "planted", "why"),
    [
        ("to_line", partial(_another_format, line=side_by_side.to_line), "no format 'none'"),
        ("Worker", lambda *_: Worker("lesionlite.errors", "planted"), "of planted ended with 0"),
    ],
)
def test_a_conversion_that_fails_is_a_sentence_and_leaves_nothing(
    name: str,
    planted: Callable[..., object],
    why: str,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(side_by_side, name, planted)
    with pytest.raises(LesionliteError, match=f"files \\(fp32\\) cannot be made: .*{why}"):
        export(run, tmp_path, FLOATS)
    left = [path.name for path in tmp_path.iterdir() if not path.name.startswith(".lesionlite")]
    assert left == []
    monkeypatch.undo()
    export(run, tmp_path, FLOATS)
    assert (tmp_path / MANIFEST).exists()


def test_files_of_one_format_go_together_and_the_slow_ones_first() -> None:
    rows = [
        (FORMATS[name], precision, Path(f"{name}-{precision}"))
        for name, precision in (
            ("onnx", "w8"),
            ("onnx", "w8a8"),
            ("coreml", "w8"),
            ("coreml", "w4"),
        )
    ]
    found = [(one.format, [*one.paths]) for one in conversions(rows)]
    assert found == [("coreml", ["w4"]), ("coreml", ["w8"]), ("onnx", ["w8", "w8a8"])]


def test_jobs_fit_the_cores_and_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = {"SC_PHYS_PAGES": 8 * GIGABYTES << 18, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(side_by_side.os, "sysconf", memory.get)
    monkeypatch.setattr(side_by_side.os, "cpu_count", lambda: 6)
    assert [most_jobs(0, pieces) for pieces in (1, 4, 9)] == [1, 4, 6]
    assert most_jobs(2, 9) == 2 and most_jobs(20, 9) == 9
    memory["SC_PHYS_PAGES"] //= 4
    assert most_jobs(0, 9) == 2
    memory["SC_PHYS_PAGES"] //= 8
    assert most_jobs(0, 9) == 1
