import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lesionlite import cli
from lesionlite.benchmark.candidate import Candidate, CandidateFailed
from lesionlite.benchmark.config import PeersConfig
from lesionlite.benchmark.latency import Turns, take_turns
from lesionlite.benchmark.peers import rounds
from lesionlite.benchmark.peers import run as peers
from lesionlite.benchmark.peers.comparison import Comparison
from lesionlite.benchmark.peers.defaults import Default, DefaultSource
from lesionlite.benchmark.peers.limit import Limit
from lesionlite.benchmark.peers.peers_report import markdown, show, write
from lesionlite.benchmark.peers.rounds import File, Round
from lesionlite.errors import LesionliteError
from lesionlite.export.mil.count import count
from tests.paths import ROOT

QUICK = PeersConfig(threads=(2,), seconds=0.06, bursts=3, calibration=4)
KEYS = {"format", "precision", "threads", "ours_ms", "default_ms", "ratio", "size_bytes"}


def refuse(source: DefaultSource, path: Path) -> None:
    raise ValueError("operands don't fit\nand a thousand lines of graph")


def crash(source: DefaultSource, path: Path) -> None:
    import os

    path.write_bytes(b"half a file")
    os.abort()


def planted(function: str) -> Default:
    return Default("onnx", "fp32", function, ".onnx", f"{__name__}:{function}", "torch")


@pytest.fixture(scope="module")
def compared(artifacts: Path, run: Path, drawn: Path, tmp_path_factory: Any) -> tuple[Any, Path]:
    """The small network's ONNX and Core ML files beside their defaults."""
    out = tmp_path_factory.mktemp("compared")
    config = replace(QUICK, formats=("onnx", "coreml"))
    comparison = peers.peers(artifacts, run, drawn, config, out)
    write(comparison.document(), out)
    return comparison, out


def row_of(document: dict[str, Any], format: str, precision: str) -> dict[str, Any]:
    (row,) = [r for r in document["rows"] if (r["format"], r["precision"]) == (format, precision)]
    return row  # type: ignore[no-any-return]


def test_ours_and_the_defaults_are_timed_side_by_side(compared: tuple[Any, Path]) -> None:
    document = compared[0].document()
    assert set(document) == {"limit", "takes", "rows"}
    for precision in ("fp32", "w8a8"):
        row = row_of(document, "onnx", precision)
        assert set(row) >= KEYS and row["threads"] == 2 and row["reason"] == ""
        assert row["ours_ms"] > 0 and row["default_ms"] > 0
        assert 0 < row["spread"][0] <= row["ratio"] <= row["spread"][1]
        assert min(row["size_bytes"], row["default_size_bytes"]) > 100_000
        assert row["limit_ratio"] > 0
    assert row_of(document, "onnx", "w8a8")["against_own_fp32"] > 0
    half = row_of(document, "onnx", "fp16")
    assert half["ours_ms"] and half["default_ms"] is None and half["default"] == ""
    assert half["reason"] == "no default has this precision"


def test_the_limit_names_who_set_it(compared: tuple[Any, Path]) -> None:
    limit = compared[0].document()["limit"]
    assert limit["fp32_ms"] > 0 and limit["int8_ms"] > 0 and limit["threads"] == 2
    found = limit["by_threads"]["2"]
    assert found["fp32"]["milliseconds"] == limit["fp32_ms"]
    assert found["fp32"]["rate"] == pytest.approx(1000 * limit["multiply_adds"] / limit["fp32_ms"])
    assert "orch" in found["int8"]["kernel"] or "ORT" in found["int8"]["kernel"]


def test_core_ml_is_counted_instead_of_timed(compared: tuple[Any, Path]) -> None:
    for precision in ("fp32", "fp16", "w8"):
        row = row_of(compared[0].document(), "coreml", precision)
        assert row["threads"] is None and row["ours_ms"] is None and row["default_ms"] is None
        ours, default = row["work"]["ours"], row["work"]["default"]
        assert ours["max_rank"] <= 4 < default["max_rank"]
        assert ours["multiply_adds"] < default["multiply_adds"]
        assert ours["off_plane"] < default["off_plane"]


def test_the_comparison_is_written_and_fits_a_terminal(
    compared: tuple[Any, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    comparison, out = compared
    document = json.loads((out / "peers.json").read_text())
    assert document == json.loads(json.dumps(comparison.document()))
    text = (out / "peers.md").read_text()
    assert text == markdown(comparison.document()) and "Limit, 2 thread(s)" in text
    assert (out / "defaults" / "onnx-fp32-torch.onnx.onnx").is_file()
    show(document)
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("onnx ")]
    assert len(table) >= 3 and all(len(line) <= 80 for line in table[:3])


def test_a_default_that_refuses_is_a_row(
    artifacts: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {name: planted(name) for name in ("refuse", "crash")}
    absent = replace(rows["refuse"], tool="absent", package="no_such_package")
    monkeypatch.setattr(peers, "DEFAULTS", rows)
    outcome = peers._convert(absent, {}, run, None, "floats", tmp_path)
    assert outcome.reason == "not installed: no_such_package" and not outcome.timed
    # The worker imports the table anew, so the planted rows are written there.
    monkeypatch.setattr(Candidate, "call", plant(Candidate.call))
    refused = peers._convert(rows["refuse"], {}, run, None, "floats", tmp_path)
    assert refused.reason == "refused: ValueError: operands don't fit" and not refused.timed
    crashed = peers._convert(rows["crash"], {}, run, None, "floats", tmp_path)
    assert "ended with -6" in crashed.reason and crashed.size_bytes is None
    assert list(tmp_path.iterdir()) == []  # nothing half-written


def plant(call: Any) -> Any:
    """`Candidate.call` in a process whose table of defaults has the planted rows."""
    code = (
        "from lesionlite.benchmark.peers import defaults as d\n"
        "from lesionlite.benchmark import worker as w\n"
        "from tests.benchmark.peers import test_peers as t\n"
        "d.DEFAULTS.update({r.name: r for r in map(t.planted, ('refuse', 'crash'))})\n"
        "w.main()"
    )

    def planted_call(self: Candidate, *given: Any, **arguments: Any) -> None:
        self.process.kill()
        self.process.communicate()
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=ROOT,
        )
        call(self, *given, **arguments)

    return planted_call


def comparison_of(ours: File, default: File, turns: dict[Path, Turns]) -> Comparison:
    limits = {name: Limit(2.0, 1e9, "kernel") for name in ("fp32", "int8")}
    return Comparison(
        {("onnx", "fp32"): ours},
        {"onnx-fp32-torch.onnx": default},
        (Round(1, turns, limits), Round(2, turns, limits)),
        2_000_000,
        "floats",
        {"processor": "p", "cores": 2, "system": "s", "python": "3", "threads": 2},
        "",
    )


def test_ratios_are_those_of_the_bursts() -> None:
    ours, default = File(Path("a.onnx"), 10), File(Path("b.onnx"), 20)
    turns = {
        ours.path: Turns((1.0, 2.0, 3.0), (1.0,)),
        default.path: Turns((2.0, 5.0, 4.0), (2.0,)),
    }
    document = comparison_of(ours, default, turns).document()
    assert [row["threads"] for row in document["rows"]] == [1, 2]
    row = document["rows"][0]
    assert (row["ours_ms"], row["default_ms"], row["ratio"]) == (2.0, 4.0, 0.5)
    assert row["spread"] == (0.45, 0.625) and row["limit_ratio"] == 1.0
    assert document["limit"]["threads"] == 2


def test_a_refused_or_crashed_default_leaves_its_figures_blank_and_says_why() -> None:
    ours, gone = File(Path("a.onnx"), 10), File(Path("b.onnx"), None, reason="refused: rank 6")
    turns = {ours.path: Turns((1.0, 2.0), (1.0, 2.0))}
    comparison = comparison_of(ours, gone, turns)
    row = comparison.document()["rows"][0]
    assert row["ours_ms"] == 1.5 and row["default_ms"] is None and row["ratio"] is None
    assert row["reason"] == "refused: rank 6"
    assert "refused: rank 6" in markdown(comparison.document())
    crashed = File(Path("b.onnx"), 20)
    turns[crashed.path] = Turns((), (), "the process of b.onnx ended with -11: ")
    row = comparison_of(ours, crashed, turns).document()["rows"][0]
    assert row["ratio"] is None and "ended with -11" in row["reason"]


def test_the_page_says_what_the_defaults_take() -> None:
    comparison = comparison_of(File(Path("a.onnx"), 10), File(Path("b.onnx"), 20), {})
    assert "take normalized floats" in markdown(comparison.document())
    pixels = replace(comparison, takes="pixels").document()
    assert pixels["takes"] == "pixels" and "the defaults take pixels" in markdown(pixels)


def test_a_busy_machine_is_told() -> None:
    ours, default = File(Path("a.onnx"), 10), File(Path("b.onnx"), 20)
    comparison = comparison_of(ours, default, {})
    assert "busy" not in markdown(comparison.document())
    busy_limits = {name: Limit(2.0, 1e9, "kernel", 2.5) for name in ("fp32", "int8")}
    busy = replace(comparison, rounds=(Round(2, {}, busy_limits),))
    assert "2.5 times as long" in markdown(busy.document())


def test_a_worker_that_dies_between_bursts_does_not_stop_the_others(tmp_path: Path) -> None:
    class Fake:
        def __init__(self, name: str, lasts: int) -> None:
            self.path, self.lasts = Path(name), lasts

        def burst(self, images: Path, seconds: float) -> Sequence[float]:
            self.lasts -= 1
            if self.lasts < 0:
                raise CandidateFailed("the process ended with -11")
            return [3.0, 1.0, 2.0]

    fakes: Any = [Fake("good", 9), Fake("mortal", 1)]
    good, mortal = take_turns(fakes, tmp_path, 3, 0.0, "turns")
    assert good == Turns((2.0,) * 3, (3.0, 1.0, 2.0) * 3)
    assert mortal.bursts == (2.0,) and mortal.error == "the process ended with -11"


def test_a_file_that_cannot_be_opened_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    monkeypatch.setattr(rounds, "KERNELS", {n: rounds.KERNELS[n] for n in ("ORT MatMul",)})
    monkeypatch.setattr(
        rounds,
        "limit",
        lambda products, rows: Limit(1.0, 1.0, rows[0][0]) if rows else Limit(0.0, 0.0, "none"),
    )
    query = rounds.Query(tmp_path / "none.npy", (1, 3, 8, 8), "float32", 1)
    found = rounds.time_round(1, [], [File(broken, 8)], query, QUICK)
    assert found.turns[broken].bursts == () and "broken.onnx" in found.turns[broken].error
    assert found.limits["fp32"].kernel.startswith("ORT MatMul")


@pytest.mark.slow
def test_work_is_counted_as_by_hand(tmp_path: Path) -> None:
    import coremltools as ct
    import torch
    from torch import nn

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x).reshape(1, 4, 64)
            return y @ y.transpose(1, 2)

    traced = torch.jit.trace(Small().eval(), torch.zeros(1, 3, 8, 8))
    model = ct.convert(
        traced,
        inputs=[ct.TensorType("x", (1, 3, 8, 8))],
        compute_precision=ct.precision.FLOAT32,
    )
    model.save(str(tmp_path / "small.mlpackage"))
    work = count(tmp_path / "small.mlpackage")
    assert work.multiply_adds == 4 * 64 * 27 + 4 * 4 * 64
    assert work.max_rank == 4 and work.off_plane >= 2 and work.moves >= 1
    least = 4 * (3 * 64 + 4 * 27 + 4 * 64)  # the convolution's input, weight and output
    assert least < work.bytes_moved < 4 * least


def test_what_the_user_can_mend_is_said(
    artifacts: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LesionliteError, match="did you mean 'onnx'"):
        peers._ours(artifacts, run, replace(QUICK, formats=("onx",)))
    with pytest.raises(LesionliteError, match="folder that it lies in"):
        peers._ours(next(artifacts.glob("*.onnx")), run, QUICK)
    manifest = json.loads((artifacts / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "checkpoint_sha256": "0"}))
    with pytest.raises(LesionliteError, match="was not made from"):
        peers._ours(tmp_path, run, QUICK)
    for change in ({"threads": ()}, {"seconds": 0.0}, {"bursts": 1}, {"calibration": 0}):
        with pytest.raises(LesionliteError, match=f"--{next(iter(change))}"):
            PeersConfig(**change)  # type: ignore[arg-type]


def test_the_command_passes_its_flags_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[PeersConfig] = []

    def stop(a: Path, r: Path, data: Path | None, config: PeersConfig, out: Path) -> None:
        seen.append(config)
        raise LesionliteError("stopped here")

    monkeypatch.setattr(peers, "peers", stop)
    common = ["peers", str(tmp_path), "--run", str(tmp_path)]
    assert cli.main([*common, "--threads", "1", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == "lesionlite: stopped here\n"
    assert cli.main([*common, "--threads", "1", "4"]) == 2
    assert [config.threads for config in seen] == [(1,), (1, 4)]
