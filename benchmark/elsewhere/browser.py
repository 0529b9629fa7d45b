"""Time TFLite and ONNX files in a browser, with the web app's own workers, and natively.

`python -m lesionlite.benchmark.elsewhere.browser APP ARTIFACTS --run RUN --data DATA`. The browser
decodes and resizes photos, and its answers are compared with PyTorch's. Pages and native processes
are timed in turns; with `--webgpu`, nothing is timed. APP is a web app that `lesionlite serve` has
built. Needs playwright and Chromium.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional, arg

from lesionlite.benchmark.candidate import Candidate
from lesionlite.benchmark.config import MOST_IMAGES, MOST_SECONDS
from lesionlite.benchmark.elsewhere.page import RUNTIMES, SWIFTSHADER, Page, chromium, pages
from lesionlite.benchmark.elsewhere.webgpu import WebGpuRow, answer_on_webgpu, compare
from lesionlite.benchmark.latency import MAX_NOISE, Latency, measure
from lesionlite.benchmark.peers.foreign import noise
from lesionlite.command import Json, Outcome
from lesionlite.console import respond, say
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.predictor import load
from lesionlite.export.formats import artifact_folder
from lesionlite.export.manifest import read_manifest
from lesionlite.flags import read_flags
from lesionlite.layout import CONTRACT
from lesionlite.mobile_app_stub.serve import built_site
from lesionlite.settings import refuse_settings, refuse_types
from lesionlite.train.data.splits import evaluation_split

THREADS = 2


@dataclass(frozen=True)
class BrowserRow:
    """One artifact in the browser.

    Attributes:
        artifact: File name.
        runtime: Its name in the browser.
        threads: Number of threads that it used there.
        agreement: Share of the photos with PyTorch's answer.
        median_abs_dp: Median over the photos of the largest |difference of a probability|.
        photo_ms: Median time of a whole photo: decoding, resizing and model.
        p50_ms: Median time of the model alone.
        native_p50_ms: The same in the file's native runtime, in turns with the browser.
        noise: The larger `Latency.noise` of the two; above `MAX_NOISE`, the ratio says little.
    """

    artifact: str
    runtime: str
    threads: int
    agreement: float
    median_abs_dp: float
    photo_ms: float
    p50_ms: float
    native_p50_ms: float
    noise: float

    def line(self) -> str:
        """The row as a sentence."""
        ratio = self.p50_ms / self.native_p50_ms
        noisy = f" (noisy: {self.noise:.0%})" if self.noise > MAX_NOISE else ""
        return (
            f"{self.artifact}  {self.runtime}, {self.threads} threads: {self.agreement:.4f} of the "
            f"answers are PyTorch's, median |Δp| {self.median_abs_dp:.1e}; model {self.p50_ms:.1f} "
            f"ms, {ratio:.2f} times native{noisy}; a whole photo {self.photo_ms:.0f} ms"
        )


def benchmark_in_browser(
    browser: Any,
    app: Path,
    artifacts: Sequence[Path],
    run: Path,
    photos: Sequence[Path],
    seconds: float,
) -> list[BrowserRow]:
    """Classify photos with artifacts in the browser, and time them.

    Args:
        browser: From `chromium`.
        app: A built web app.
        artifacts: TFLite and ONNX files of one folder.
        run: The run they were made from.
        photos: Image files.
        seconds: Least time spent on each artifact's queries.

    Raises:
        LesionliteError: Something is missing, or cannot be opened in the browser.
    """
    reference = load(run, THREADS)
    expected = reference.predict(photos)
    with pages(browser, app, artifacts) as opened:
        classified = [page.classify(photos) for page in opened]
        times = _time(opened, reference.contract.side, seconds)
    rows = []
    for page, (answers, photo_ms), latencies in zip(opened, classified, times, strict=True):
        rows.append(_row(page, compare(answers, expected), photo_ms, *latencies))
    return rows


def _row(
    page: Page,
    compared: tuple[float, float],
    photo_ms: NDArray[np.float64],
    latency: Latency,
    native: Latency,
) -> BrowserRow:
    agreement, median_abs_dp = compared
    return BrowserRow(
        artifact=page.path.name,
        runtime=page.runtime,
        threads=page.threads,
        agreement=agreement,
        median_abs_dp=median_abs_dp,
        photo_ms=float(np.median(photo_ms)),
        p50_ms=latency.p50,
        native_p50_ms=native.p50,
        noise=max(latency.noise, native.noise),
    )


def _time(opened: Sequence[Page], side: int, seconds: float) -> list[tuple[Latency, Latency]]:
    """The latency of each page and of its file in the native runtime, all in turns."""
    with ExitStack() as stack, TemporaryDirectory() as folder:
        images = Path(folder) / "image.npy"
        np.save(images, noise((1, side, side, 3), np.uint8))
        natives = [stack.enter_context(Candidate(page.path, THREADS)) for page in opened]
        for native in natives:
            native.open()
            native.warm_up(images, seconds)
        times = measure([*opened, *natives], images, 1, seconds, "latency")
    return list(zip(times[: len(opened)], times[len(opened) :], strict=True))


@dataclass(frozen=True)
class Browser:
    """Classify and time TFLite and ONNX files in Chromium, beside their native runtimes."""

    app: Positional[Path]
    """A web app that `lesionlite serve` has built."""
    artifacts: Positional[Path]
    """Folder that `lesionlite export` wrote, or one artifact in it."""
    run_folder: Annotated[Path, arg(name="run")]
    """The run that they were made from."""
    data: Path
    """Class folders, or a data folder whose test/ (else val/) is used."""
    photos: int = 100
    """How many of its images to classify, spread evenly."""
    seconds: float = 10.0
    """Least time spent on each artifact's queries."""
    webgpu: bool = False
    """Compare what Chromium's WebGPU answers instead, computed by SwiftShader; nothing is timed."""
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            LesionliteError: It names the flag, its value, and the values allowed.
        """
        refuse_types(self)
        rules = (
            ("photos", 1 <= self.photos <= MOST_IMAGES, f"from 1 to {MOST_IMAGES:,}"),
            ("seconds", 0 <= self.seconds <= MOST_SECONDS, f"from 0 to {MOST_SECONDS:,}"),
        )
        refuse_settings(self, rules)

    def run(self) -> Outcome:
        """Measure, and show a line for each artifact."""
        built_site(self.app)
        folder = artifact_folder(self.artifacts)
        names = [row.artifact for row in read_manifest(self.artifacts)]
        files = [folder / name for name in names if Path(name).suffix in RUNTIMES]
        if not files:
            raise LesionliteError(
                f"{self.artifacts} holds no {' or '.join(RUNTIMES)} artifact; make them with "
                "`lesionlite export --formats tflite onnx`"
            )
        split = evaluation_split(self.data, Contract.read(self.run_folder / CONTRACT).labels)
        chosen = split.files[:: max(1, len(split) // self.photos)][: self.photos]
        rows: Sequence[BrowserRow | WebGpuRow]
        if self.webgpu:
            with chromium(SWIFTSHADER) as browser:
                rows = answer_on_webgpu(browser, self.app, files, self.run_folder, chosen)
        else:
            with chromium() as browser:
                rows = benchmark_in_browser(
                    browser, self.app, files, self.run_folder, chosen, self.seconds
                )
        for row in rows:
            say(row.line())
        say(f"next: lesionlite serve {self.app}")
        return {"photos": len(chosen), "rows": [asdict(row) for row in rows]}, 0


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(
        respond(
            given,
            lambda: read_flags(Browser, given, "python -m lesionlite.benchmark.elsewhere.browser"),
        )
    )
