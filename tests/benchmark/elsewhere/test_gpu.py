"""LiteRT's GPU accelerator: it takes our files wholly, answers alike, and refuses the old form."""

import platform
from pathlib import Path

import numpy as np
import pytest
import torch

from lesionlite.benchmark.candidate import Candidate, CandidateFailed
from lesionlite.benchmark.elsewhere import gpu
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.predictor import load
from lesionlite.export.forms.attention import Variant
from lesionlite.export.forms.mobilevitv2 import MobileForm
from lesionlite.export.metadata import Metadata
from lesionlite.export.source import Source
from lesionlite.export.writers.to_tflite import convert
from lesionlite.train.model import load_run


def has_gpu() -> bool:
    try:
        gpu.refuse_no_gpu()
    except LesionliteError:
        return False
    return True


needs_gpu = pytest.mark.skipif(not has_gpu(), reason="no Vulkan driver, or not Linux on x86-64")


@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "w8", "w8a8"])
def test_the_gpu_takes_every_operation_and_answers_alike(
    precision: str, artifacts: Path, images: np.ndarray, tmp_path: Path
) -> None:
    file = artifacts / f"mobilevitv2_050-{precision}.tflite"
    here = load(file).predict(images[:4])
    np.save(tmp_path / "images.npy", images[:4])
    np.save(tmp_path / "answers.npy", np.full_like(here, np.nan))
    with Candidate(file, 1, gpu.GPU_OPENER) as there:
        there.open()
        there.predict(tmp_path / "images.npy", tmp_path / "answers.npy", np.arange(4), lambda: None)
    answers = np.load(tmp_path / "answers.npy")
    np.testing.assert_allclose(answers, here, atol=0.1 if precision == "w8a8" else 0.01)


@needs_gpu
@pytest.mark.slow
def test_the_gpu_refuses_products_of_two_activations(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Variant(channels_last=True)
    monkeypatch.setattr("lesionlite.export.forms.attention.NHWC", old)
    network, contract = load_run(run)
    path = tmp_path / "old.tflite"
    convert(Source(network, contract, Metadata()), {"fp32": path})
    with Candidate(path, 1, gpu.GPU_OPENER) as there, pytest.raises(CandidateFailed) as refused:
        there.open()
    assert "BATCH_MATMUL: Not supported batched mat mul case" in str(refused.value)


@pytest.mark.slow
def test_grouping_by_slices_computes_what_the_first_form_does(run: Path) -> None:
    network, contract = load_run(run)
    image = torch.randint(0, 256, (1, contract.side, contract.side, 3), dtype=torch.uint8)
    answers = [
        MobileForm(network.double(), contract, variant)(image)
        for variant in (Variant(), Variant(grouping="slices", pointwise_head=True))
    ]
    torch.testing.assert_close(*answers, atol=1e-12, rtol=0)


def test_a_machine_without_a_driver_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    for name in gpu.DRIVERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(gpu, "FOLDERS", ())
    monkeypatch.setattr(gpu, "SWIFTSHADER", Path("nothing"))
    with pytest.raises(LesionliteError, match="install libvulkan1 and chromium"):
        gpu.refuse_no_gpu()
    monkeypatch.setattr(gpu, "find_spec", lambda name: None)
    with pytest.raises(LesionliteError, match=r"pip install 'lesionlite\[gpu\]'"):
        gpu.refuse_no_gpu()
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(LesionliteError, match="not on Darwin x86_64"):
        gpu.refuse_no_gpu()


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (
            "INFO: x\nBATCH_MATMUL: Not supported batched mat mul case",
            "BATCH_MATMUL: Not supported",
        ),
        ("E0000 1 x.cc:4] Failed to create kernel: Shape mismatch", "Failed to create kernel"),
        ("nothing of the kind", ""),
    ],
)
def test_the_reason_is_found_in_the_log(log: str, reason: str) -> None:
    assert gpu.refusal(log).startswith(reason)
    assert bool(gpu.refusal(log)) == bool(reason)
