"""TFLite and ONNX files on Chromium's WebGPU: what they answer, or why they do not.

SwiftShader computes, a driver without a GPU. So answers are compared, and nothing is timed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.benchmark.elsewhere.page import NotOpened, pages
from lesionlite.errors import first_line
from lesionlite.export.execute.predictor import load

THREADS = 2


@dataclass(frozen=True)
class WebGpuRow:
    """One artifact on WebGPU.

    Attributes:
        artifact: File name.
        passed: Whether it passed the app's self-test; else the app does not use WebGPU for it.
        refusal: Why it cannot be opened, or nothing; then the others are None.
        largest: |Difference of a probability|, over the golden images.
        agreement: Share of the photos with PyTorch's answer.
        median_abs_dp: Median over the photos of the largest |difference of a probability|.
    """

    artifact: str
    passed: bool
    refusal: str = ""
    largest: float | None = None
    agreement: float | None = None
    median_abs_dp: float | None = None

    def line(self) -> str:
        """The row as a sentence."""
        if self.refusal:
            return f"{self.artifact}  refused by WebGPU: {self.refusal}"
        return (
            f"{self.artifact}  {'passed' if self.passed else 'failed'} on WebGPU: golden images "
            f"differ by up to {self.largest:.1e}, {self.agreement:.4f} of the answers are "
            f"PyTorch's, median |Δp| {self.median_abs_dp:.1e}"
        )


def answer_on_webgpu(
    browser: Any, app: Path, artifacts: Sequence[Path], run: Path, photos: Sequence[Path]
) -> list[WebGpuRow]:
    """Run the self-test and classify photos with each artifact, one after another.

    Args:
        browser: From `chromium(SWIFTSHADER)`.
        app: A built web app.
        artifacts: TFLite and ONNX files of one folder.
        run: The run they were made from.
        photos: Image files.

    Raises:
        LesionliteError: Something is missing.
    """
    expected = load(run, THREADS).predict(photos)
    rows = []
    for artifact in artifacts:
        try:
            with pages(browser, app, [artifact], webgpu=True) as (page,):
                passed, largest = page.self_test()
                compared = compare(page.classify(photos)[0], expected)
        except NotOpened as refusal:
            rows.append(WebGpuRow(artifact.name, False, first_line(refusal)))
        else:
            rows.append(WebGpuRow(artifact.name, passed, "", largest, *compared))
    return rows


def compare(found: NDArray[np.float32], reference: NDArray[np.float32]) -> tuple[float, float]:
    """Share of equal answers, and median over images of the largest |Δp|; probabilities [N, C]."""
    change = np.abs(found.astype(np.float64) - reference).max(1)
    return float((found.argmax(1) == reference.argmax(1)).mean()), float(np.median(change))
