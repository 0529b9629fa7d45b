import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lesionlite.benchmark.candidate import Candidate, CandidateFailed
from lesionlite.benchmark.peers.defaults import DEFAULTS, DefaultSource, convert, input_of
from lesionlite.benchmark.peers.foreign import OPENERS, foreign, noise, open_foreign
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.predictor import load
from lesionlite.export.formats import FORMATS
from lesionlite.export.precision import PRECISIONS
from lesionlite.train.model import load_run
from tests.paths import ROOT


def test_every_default_has_one_of_our_precisions_and_can_be_opened() -> None:
    for name, row in DEFAULTS.items():
        assert row.name == name and row.precision in PRECISIONS
        assert row.format in FORMATS or row.format == "executorch"
        assert row.suffix in OPENERS or FORMATS[row.format].work
        assert " " not in name
    with_default = {row.format for row in DEFAULTS.values()}
    assert with_default >= set(FORMATS)


@pytest.mark.parametrize("name", ["torchscript-fp32-jit.freeze", "executorch-fp32-XNNPACK"])
def test_a_default_is_timms_function_and_a_worker_times_it(
    run: Path, tmp_path: Path, name: str
) -> None:
    row = DEFAULTS[name]
    pytest.importorskip(row.package)
    network, contract = load_run(run)
    path = tmp_path / f"x{row.suffix}"
    row.write(DefaultSource(network, contract, None, None), path)
    shape = (1, 3, contract.side, contract.side)
    with torch.no_grad():
        expected = network(torch.from_numpy(noise(shape, np.float32))).numpy()
    # ExecuTorch has one pool in a process, and other tests open its files with 2 threads
    answer: Any = open_foreign(path, 2, shape).query()
    answer = answer[0] if isinstance(answer, list) else answer
    assert np.abs(np.asarray(answer) - expected).max() < 1e-4
    with Candidate(path, 2, foreign(shape)) as worker:
        worker.open()
        assert worker.native and len(worker.burst(tmp_path, 0.0)) == 1
        with pytest.raises(CandidateFailed, match="no contract"):
            worker.predict(tmp_path, tmp_path, np.zeros(1, np.int64), lambda: None)


@pytest.mark.parametrize("name", ["torchscript-fp32-jit.freeze", "onnx-fp32-torch.onnx"])
def test_a_default_that_takes_pixels_has_the_input_and_the_output_of_ours(
    run: Path, tmp_path: Path, name: str
) -> None:
    row = DEFAULTS[name]
    _, contract = load_run(run)
    path = tmp_path / f"x{row.suffix}"
    convert(name, str(path), str(run), None, None, "pixels")
    shape, dtype = input_of("pixels", contract.side)
    answer: Any = open_foreign(path, 2, shape, dtype).query()
    answer = answer[0] if isinstance(answer, list) else answer
    expected = load(run).predict_inputs(noise(shape, np.dtype(dtype)), 1, "")
    assert np.abs(np.asarray(answer) - expected).max() < 1e-4


def test_a_default_is_calibrated_with_what_it_takes(run: Path) -> None:
    network, contract = load_run(run)
    pixels = noise((2, contract.side, contract.side, 3), np.uint8)
    source = DefaultSource(network, contract, pixels, None, "pixels")
    assert torch.equal(torch.cat(source.batches()), torch.from_numpy(pixels))
    assert source.example().shape == source.batches()[0].shape


def test_without_images_eight_bits_are_refused(run: Path, tmp_path: Path) -> None:
    network, contract = load_run(run)
    for name, row in DEFAULTS.items():
        if row.precision == "w8a8":
            with pytest.raises(LesionliteError, match="add --data"):
                row.write(DefaultSource(network, contract, None, None), tmp_path / name)


def test_calibration_images_are_normalized_as_the_contract_says(run: Path) -> None:
    network, contract = load_run(run)
    contract = replace(contract, mean=(0.5, 0.5, 0.5), std=(0.25, 0.5, 1.0))
    white = np.full((2, contract.side, contract.side, 3), 255, np.uint8)
    first, _ = DefaultSource(network, contract, white, None).batches()
    assert first.shape == (1, 3, contract.side, contract.side)
    assert first[0, :, 0, 0].tolist() == [2.0, 1.0, 0.5]


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LesionliteError, match=r"can be timed: \.onnx"):
        open_foreign(tmp_path / "x.bin", 1, ())


def test_defaults_live_in_modules_that_import_late() -> None:
    code = (
        "import sys; from lesionlite.benchmark.peers import defaults; "
        "print({'torch', 'onnx'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert out.stdout.strip() == "set()"
