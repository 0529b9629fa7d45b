"""TFLite and ONNX files in a browser, by the web app's own workers, beside their native runtimes.

`python -m benchmark.browser APP ARTIFACTS --run RUN --data DATA`: photos are decoded and resized by
the browser, answers are compared with PyTorch's, and pages and native processes take turns. APP is
a web app that `lesionlite serve` has built; needs playwright and Chromium.
"""

import base64
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional, arg

from benchmark.candidate import Candidate
from benchmark.latency import QUIET, measure
from benchmark.predictor import load
from benchmark.run import evaluation_split
from export.manifest import GOLDEN, read_manifest
from export.serve import SITE, open_server
from train.commands import Json, Outcome
from train.console import respond, say, track
from train.contract import Contract
from train.errors import LesionliteError, refuse_settings
from train.files import read_json, write_json
from train.layout import CONTRACT

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
WORKERS = {  # by suffix: the app's worker, its kind, what runs in it
    ".tflite": ("worker-litert.js", "classic", "LiteRT.js"),
    ".onnx": ("worker-onnx.js", "module", "ONNX Runtime Web"),
}
THREADS = 2
# A page with nothing in it but questions to a worker; `app.js` asks the same ones.
ASK = """<!doctype html><input type="file" id="files" multiple><script>
  const open = (script, type) => { window.worker = new Worker(script, { type }); };
  const ask = (ask, settings) => new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => data.problem ? reject(data.problem) : resolve(data.answer);
    worker.onerror = () => reject("the worker cannot be started");
    worker.postMessage({ id: 0, ask, ...settings });
  });
  const decoded = async (base64) => (await fetch(`data:image/png;base64,${base64}`)).blob();
  const burst = async (base64, seconds) => {
    const blob = await decoded(base64), found = [], end = performance.now() + 1000 * seconds;
    do { found.push(await ask("classify", { blob })); } while (performance.now() < end);
    return found.map((one) => one.modelMilliseconds);
  };
  const classify = (index) => ask("classify", { blob: files.files[index] });
</script>"""


@contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """A headless Chromium, driven by playwright.

    Args:
        flags: of Chromium, beside `FLAGS`.

    Raises:
        LesionliteError: if one of them is not installed.
    """
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise LesionliteError(f"no browser is installed; one of these is needed: {BROWSERS}")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise LesionliteError("playwright is not installed: pip install playwright") from None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        yield browser
        browser.close()


class Page:
    """One artifact in a page of its own, and so in a process of its own; use inside `pages`."""

    def __init__(self, path: Path, page: Any, address: str) -> None:
        """Open the page and load the artifact; LesionliteError is what the worker says."""
        self.path, self.page = path, page
        script, kind, self.runtime = WORKERS[path.suffix]
        page.goto(f"{address}/{path.name}/ask.html")
        page.evaluate(f"open('{script}', '{kind}')")
        self.threads: int = self._evaluate("ask('load')")["threads"]

    def burst(self, images: Path, seconds: float) -> list[float]:
        """Milliseconds that the model took for the first of uint8 [N, S, S, 3], again and again."""
        import io

        from PIL import Image

        png = io.BytesIO()
        Image.fromarray(np.load(images)[0]).save(png, "png")
        image = base64.b64encode(png.getvalue()).decode()
        return [float(ms) for ms in self._evaluate(f"burst('{image}', {seconds})")]

    def classify(self, files: Sequence[Path]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Answers [N, C] to photos, and the milliseconds [N] of decoding, resizing and model."""
        self.page.set_input_files("#files", list(files))
        indices = track(range(len(files)), f"{self.path.name}, {self.runtime}", len(files))
        answers = [self._evaluate(f"classify({index})") for index in indices]
        probabilities = [answer["probabilities"] for answer in answers]
        times = [answer["milliseconds"] for answer in answers]
        return np.array(probabilities, np.float32), np.array(times)

    def _evaluate(self, code: str) -> Any:
        from playwright.sync_api import Error

        try:
            return self.page.evaluate(code)
        except Error as error:
            raise LesionliteError(f"{self.path.name} in the browser: {error.message}") from error


@contextmanager
def pages(browser: Any, app: Path, artifacts: Sequence[Path]) -> Iterator[list[Page]]:
    """A page for each artifact, served from a copy of the app's site that holds it alone.

    Raises:
        LesionliteError: no built app, or an artifact that cannot be loaded.
    """
    with TemporaryDirectory() as folder, ExitStack() as stack:
        open_server(app, 0).server_close()  # says what is missing
        site = Path(folder) / SITE
        site.mkdir()
        (site / "index.html").touch()
        for artifact in artifacts:
            _lay(site / artifact.name, app.resolve() / SITE, artifact.resolve())
        server = stack.enter_context(open_server(Path(folder), 0))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        stack.callback(server.shutdown)
        address = f"http://localhost:{server.server_port}"
        yield [
            Page(path, stack.enter_context(browser.new_context()).new_page(), address)
            for path in artifacts
        ]


def _lay(place: Path, site: Path, artifact: Path) -> None:
    """The app's site with another model: links, but for the golden vectors' list."""
    (place / "model" / GOLDEN).mkdir(parents=True)
    for part in site.iterdir():
        if part.name != "model":
            (place / part.name).symlink_to(part)
    (place / "ask.html").write_text(ASK)
    for name in (artifact.name, CONTRACT):
        (place / "model" / name).symlink_to(artifact.parent / name)
    golden = artifact.parent / GOLDEN
    for image in golden.glob("*.png"):
        (place / "model" / GOLDEN / image.name).symlink_to(image)
    document = read_json(golden / "golden.json")
    document["artifacts"] = {artifact.name: document["artifacts"][artifact.name]}
    write_json(place / "model" / GOLDEN / "golden.json", document)


@dataclass(frozen=True)
class Row:
    """One artifact in the browser.

    Attributes:
        artifact: file name.
        runtime: in the browser.
        threads: that it used there.
        agreement: share of the photos with PyTorch's answer.
        median_abs_dp: median over the photos of the largest |difference of a probability|.
        photo_ms: median time of a whole photo: decoding, resizing, model.
        p50_ms: median time of the model alone.
        native_p50_ms: of the same file in its native runtime, taking turns with the browser.
        noise: the larger of both medians' spreads; beyond `QUIET` the ratio means little.
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
        """The row as people read it."""
        ratio = self.p50_ms / self.native_p50_ms
        noisy = f" (noisy: {self.noise:.0%})" if self.noise > QUIET else ""
        return (
            f"{self.artifact}  {self.runtime}, {self.threads} threads: {self.agreement:.4f} of the "
            f"answers are PyTorch's, median |Δp| {self.median_abs_dp:.1e}; model {self.p50_ms:.1f} "
            f"ms, {ratio:.2f} times native{noisy}; a whole photo {self.photo_ms:.0f} ms"
        )


def compare(found: NDArray[np.float32], reference: NDArray[np.float32]) -> tuple[float, float]:
    """Share of equal answers, and the median image's largest |Δp|, of probabilities [N, C]."""
    change = np.abs(found.astype(np.float64) - reference).max(1)
    return float((found.argmax(1) == reference.argmax(1)).mean()), float(np.median(change))


def benchmark_in_browser(
    browser: Any,
    app: Path,
    artifacts: Sequence[Path],
    run: Path,
    photos: Sequence[Path],
    seconds: float,
) -> list[Row]:
    """Ask and time artifacts in the browser.

    Args:
        browser: from `chromium`.
        app: a built web app.
        artifacts: TFLite and ONNX files of one folder.
        run: the run they were made from.
        photos: image files.
        seconds: of each one's queries.

    Raises:
        LesionliteError: if something is missing, or cannot be opened in the browser.
    """
    reference = load(run, THREADS)
    wanted = reference.predict(photos)
    with ExitStack() as stack, TemporaryDirectory() as folder:
        images = Path(folder) / "image.npy"
        side = reference.contract.side
        np.save(images, np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8))
        natives = [stack.enter_context(Candidate(path, THREADS)) for path in artifacts]
        opened = stack.enter_context(pages(browser, app, artifacts))
        answers = [page.classify(photos) for page in opened]
        for native in natives:
            native.open()
            native.warm_up(images)
        times = measure([*natives, *opened], images, 1, seconds, "latency")
    rows = []
    for page, (found, ms), ours, theirs in zip(
        opened, answers, times[len(natives) :], times, strict=False
    ):
        agreement, median_abs_dp = compare(found, wanted)
        rows.append(
            Row(
                artifact=page.path.name,
                runtime=page.runtime,
                threads=page.threads,
                agreement=agreement,
                median_abs_dp=median_abs_dp,
                photo_ms=float(np.median(ms)),
                p50_ms=ours.p50,
                native_p50_ms=theirs.p50,
                noise=max(ours.noise, theirs.noise),
            )
        )
    return rows


@dataclass(frozen=True)
class Options:
    """Ask and time TFLite and ONNX files in Chromium, beside their native runtimes."""

    app: Positional[Path]
    """A web app that `lesionlite serve` has built."""
    artifacts: Positional[Path]
    """Folder that `lesionlite export` wrote, or one artifact in it."""
    run_folder: Annotated[Path, arg(name="run")]
    """The run that they were made from."""
    data: Path
    """Class folders, or a data folder whose test/ (else val/) is used."""
    photos: int = 100
    """How many of its images to ask, evenly spread."""
    seconds: float = 10.0
    """Least time spent on each one's queries."""
    json: Json = False

    def run(self) -> Outcome:
        """Measure, and show a line for each artifact."""
        refuse_settings(self, [("photos", self.photos >= 1, "1 or more")])
        folder = self.artifacts if self.artifacts.suffix not in WORKERS else self.artifacts.parent
        names = [row.artifact for row in read_manifest(self.artifacts)]
        able = [folder / name for name in names if Path(name).suffix in WORKERS]
        if not able:
            raise LesionliteError(f"{self.artifacts} holds no {' or '.join(WORKERS)} artifact")
        split = evaluation_split(self.data, Contract.read(self.run_folder / CONTRACT))
        chosen = [split.files[i] for i in range(0, len(split), max(1, len(split) // self.photos))]
        chosen = chosen[: self.photos]
        with chromium() as browser:
            rows = benchmark_in_browser(
                browser, self.app, able, self.run_folder, chosen, self.seconds
            )
        for row in rows:
            say(row.line())
        say(f"next: lesionlite serve {self.app}")
        return {"photos": len(chosen), "rows": [asdict(row) for row in rows]}, 0


if __name__ == "__main__":
    import tyro

    sys.exit(respond(sys.argv[1:], lambda: tyro.cli(Options, prog="python -m benchmark.browser")))
