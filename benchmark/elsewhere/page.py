"""Artifacts in Chromium, driven by playwright, in a page that calls the web app's workers."""

import base64
import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.console import track
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.vectors import ANSWERS
from lesionlite.export.manifest import GOLDEN, read_manifest, refuse_changed
from lesionlite.files import write_json
from lesionlite.layout import CONTRACT
from lesionlite.mobile_app_stub.embed import golden_of
from lesionlite.mobile_app_stub.placing import link_or_copy
from lesionlite.mobile_app_stub.serve import SITE, built_site, serving

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
SWIFTSHADER = "--enable-unsafe-webgpu"  # else Chromium gives WebGPU to tested GPUs alone
RUNTIMES = {".tflite": "litert", ".onnx": "onnx"}  # the app's names of the runtimes, by suffix
# The page contains only the app's client and calls to it.
ASK = """<!doctype html><input type="file" id="files" multiple><script type="module">
  import { Client, RUNTIMES } from "./client.js";
  const fetched = async (url) => (await fetch(url)).blob();
  window.start = (runtime) => {
    window.client = new Client(runtime);
    return RUNTIMES[runtime].name;
  };
  window.burst = async (image, seconds) => {
    const blob = await fetched(image), found = [], end = performance.now() + 1000 * seconds;
    do { found.push(await client.ask("classify", { blob })); } while (performance.now() < end);
    return found.map((one) => one.modelMilliseconds);
  };
  window.classify = (index) => client.ask("classify", { blob: files.files[index] });
</script>"""


@contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """A headless Chromium, driven by playwright.

    Args:
        flags: Further flags of Chromium, after `FLAGS`.

    Raises:
        LesionliteError: Chromium or playwright is not installed.
    """
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise LesionliteError(
            f"no browser is installed; one of these is needed: {', '.join(BROWSERS)}"
        )
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise LesionliteError("playwright is not installed: pip install playwright") from None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        yield browser
        browser.close()


class NotOpened(LesionliteError):
    """A runtime of the browser does not take the artifact."""


class Page:
    """One artifact in a page of its own, and therefore in a process of its own; made by `pages`."""

    def __init__(self, path: Path, page: Any, address: str, webgpu: bool = False) -> None:
        """Open the page and load the artifact; on WebGPU, if wanted.

        Raises:
            NotOpened: It cannot be loaded; the text is the worker's message.
        """
        self.path, self.page = path, page
        page.goto(f"{address}/{path.name}/ask.html")
        runtime = RUNTIMES[path.suffix] + ("-webgpu" if webgpu else "")
        self.runtime: str = self._evaluate(f"start('{runtime}')")
        try:
            self.threads: int = self._evaluate("client.ask('load')")["threads"]
        except LesionliteError as error:
            raise NotOpened(str(error)) from error

    def burst(self, images: Path, seconds: float) -> list[float]:
        """Classify the first of `images` repeatedly; milliseconds of the model for each time.

        Args:
            images: .npy file, uint8 [N, S, S, 3].
            seconds: How long, about.
        """
        from PIL import Image

        png = io.BytesIO()
        Image.fromarray(np.load(images)[0]).save(png, "png")
        image = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
        return [float(ms) for ms in self._evaluate(f"burst('{image}', {seconds})")]

    def classify(self, files: Sequence[Path]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Probabilities [N, C] of photos, and milliseconds [N] of decoding, resizing and model."""
        self.page.set_input_files("#files", list(files))
        indices = track(range(len(files)), f"{self.path.name}, {self.runtime}", len(files))
        answers = [self._evaluate(f"classify({index})") for index in indices]
        probabilities = [answer["probabilities"] for answer in answers]
        times = [answer["milliseconds"] for answer in answers]
        return np.array(probabilities, np.float32), np.array(times)

    def self_test(self) -> tuple[bool, float]:
        """Whether the app's self-test passes, and the largest |Δp|."""
        verdict = self._evaluate("client.ask('selfTest')")
        return verdict["passed"], verdict["largest"]

    def _evaluate(self, code: str) -> Any:
        from playwright.sync_api import Error

        try:
            return self.page.evaluate(code)
        except Error as error:
            raise LesionliteError(f"{self.path.name} in the browser: {error.message}") from error


@contextmanager
def pages(
    browser: Any, app: Path, artifacts: Sequence[Path], webgpu: bool = False
) -> Iterator[list[Page]]:
    """A page for each artifact, served from a copy of the app's site that holds only this artifact.

    Args:
        browser: From `chromium`; for WebGPU with `SWIFTSHADER`.
        app: A built web app.
        artifacts: TFLite and ONNX files.
        webgpu: Whether they run on WebGPU.

    Raises:
        LesionliteError: The app is not built, or an artifact cannot be loaded.
    """
    with TemporaryDirectory() as folder, ExitStack() as stack:
        built, site = built_site(app.resolve()), Path(folder) / SITE
        site.mkdir()
        (site / "index.html").touch()
        for artifact in artifacts:
            _copy_site(site / artifact.name, built, artifact.resolve())
        address = stack.enter_context(serving(Path(folder)))
        yield [
            Page(path, stack.enter_context(browser.new_context()).new_page(), address, webgpu)
            for path in artifacts
        ]


def _copy_site(place: Path, site: Path, artifact: Path) -> None:
    """Copy the app's site to `place`, with another model. The server follows no symbolic links."""
    (place / "model" / GOLDEN).mkdir(parents=True)
    for part in site.iterdir():
        if part.is_dir() and part.name != "model":
            shutil.copytree(part, place / part.name, copy_function=link_or_copy)
        elif part.is_file():
            link_or_copy(part, place / part.name)
    (place / "ask.html").write_text(ASK)
    rows = read_manifest(artifact)
    refuse_changed(artifact)
    files = [artifact.name, CONTRACT]
    golden = golden_of(artifact.parent, rows)
    files += [f"{GOLDEN}/{image}" for image in golden.images]
    for name in files:
        link_or_copy(artifact.parent / name, place / "model" / name)
    write_json(place / "model" / GOLDEN / ANSWERS, golden.document())
