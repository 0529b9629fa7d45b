"""The web app's page in Chromium, Firefox and WebKitGTK: photos, self-test, threads, offline."""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lesionlite.contract import Contract
from lesionlite.export.execute.predictor import load
from lesionlite.mobile_app_stub.serve import SITE, serving
from lesionlite.train.data.images import load_inputs
from tests.mobile_app_stub.web.browser_photos import PHOTOS, UNKNOWN
from tests.mobile_app_stub.web.web_page import READY
from tests.mobile_app_stub.web.webdriver_page import BROWSERS, Page, Visit, webkit

RUNTIMES = {"litert": "LiteRT.js", "onnx": "ONNX Runtime Web"}
ROUNDED = 0.06  # percent: the page shows one decimal
MOVED = 0.3  # percent, where some pixels differ by a step or two; 0.2 was measured
# A worker, as the app's are, that gives the network's input instead of its answer.
WORKER = """import { toInput } from "%s/lesionlite-web/src/photo.js";
const text = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
self.onmessage = async ({ data: { file, contract } }) => {
  try {
    const blob = await (await fetch(file)).blob();
    self.postMessage({ input: btoa(text(await toInput(blob, contract))) });
  } catch (error) {
    self.postMessage({ problem: String(error) });
  }
};"""
SEE = """const [file, contract] = args;
const worker = new Worker("seen.js");
const { input, problem } = await new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = () => reject(new Error("the worker cannot be started"));
  worker.postMessage({ file, contract });
});
worker.terminate();
if (problem) throw new Error(problem);
return input;"""
SHOWN = """return [...document.querySelectorAll("#classes li")].map((item) =>
  [...item.querySelectorAll("span")].map((part) => part.textContent));"""
ISOLATION = """return [crossOriginIsolated, typeof SharedArrayBuffer === "function",
  navigator.hardwareConcurrency];"""
FORGET = """const found = await navigator.serviceWorker.getRegistrations();
for (const one of found) await one.unregister();
for (const name of await caches.keys()) await caches.delete(name);"""


def skip_without(name: str) -> None:
    if program := BROWSERS[name].missing():
        pytest.skip(f"{program} is not installed; .ci/run installs it")


@pytest.fixture(scope="module")
def site(web_app: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The web app, with the photos and a worker that sees them."""
    folder = tmp_path_factory.mktemp("browsers")
    shutil.copytree(web_app / SITE, folder / SITE)
    for name, photo in PHOTOS.items():
        photo.save(folder / SITE / name)
    (folder / "seen.js").write_text(WORKER % web_app)
    esbuild = web_app / "node_modules" / ".bin" / "esbuild"
    flags = ("--bundle", "--format=iife", f"--outfile={folder / SITE / 'seen.js'}")
    subprocess.run([esbuild, folder / "seen.js", *flags], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def visit(browser: str) -> Iterator[Visit]:
    skip_without(browser)
    with BROWSERS[browser].start() as visit:
        yield visit


@pytest.fixture(scope="module")
def page(visit: Visit, site: Path) -> Iterator[Page]:
    """The web app with the photos, visited for the first time, and ready."""
    with serving(site) as address, visit() as page:
        page.open(address)
        page.says("status", READY)
        yield page


@pytest.fixture(scope="module")
def contract(run: Path) -> Contract:
    return Contract.read(run / "contract.json")


def seen(page: Page, name: str, contract: Contract) -> "np.ndarray[Any, Any]":
    """What the network sees of a photo in the browser."""
    content = base64.b64decode(page.evaluate(SEE, name, json.loads(contract.to_json())))
    return np.frombuffer(content, np.uint8).reshape(contract.side, contract.side, 3)


def inputs(site: Path, contract: Contract, *names: str) -> "np.ndarray[Any, Any]":
    """What the network sees of photos in Python."""
    return load_inputs([site / SITE / name for name in names], contract)


def choose(page: Page, runtime: str) -> str:
    """Choose a runtime; what the page says about it."""
    page.evaluate("document.querySelector(`[value=${args[0]}]`).click()", runtime)
    details = page.says("details", RUNTIMES[runtime])
    page.says("status", READY)
    return details


def answer(page: Page, photo: Path) -> dict[str, float]:
    """What the page shows about a photo: percents by label, of the likeliest."""
    page.evaluate("document.getElementById('status').textContent = ''")
    page.choose_file(photo)
    page.says("status", "in the model")
    return {label: float(percent.rstrip("%")) for label, percent in page.evaluate(SHOWN)}


def farthest(shown: dict[str, float], wanted: dict[str, float]) -> float:
    """The largest difference between percents shown and wanted."""
    return max(abs(percent - wanted[label]) for label, percent in shown.items())


def largest(a: "np.ndarray[Any, Any]", b: "np.ndarray[Any, Any]") -> int:
    return int(np.abs(a.astype(int) - b).max())


@pytest.fixture(scope="module")
def answers(run: Path, site: Path) -> dict[str, dict[str, float]]:
    """What Python answers about each photo: percents by label."""
    model = load(run)
    found = 100 * model.predict([site / SITE / name for name in PHOTOS])
    rows = [dict(zip(model.contract.labels, map(float, row), strict=True)) for row in found]
    return dict(zip(PHOTOS, rows, strict=True))


@pytest.mark.parametrize("name", PHOTOS)
def test_the_network_sees_what_python_sees(
    name: str, browser: str, page: Page, site: Path, contract: Contract
) -> None:
    photo = PHOTOS[name]
    bound, instead = photo.bounds.get(browser, 0), photo.instead.get(browser, name)
    found, (wanted, others) = seen(page, name, contract), inputs(site, contract, name, instead)
    assert largest(found, others) <= bound
    differs = largest(found, wanted) > 0
    assert differs == (bound > 0 or instead != name), "the table lists a difference that is gone"


def test_a_wrong_answer_is_noticed(
    page: Page, site: Path, answers: dict[str, dict[str, float]]
) -> None:
    shown = answer(page, site / SITE / "exif-6.jpg")
    assert farthest(shown, answers["exif-6.jpg"]) < ROUNDED
    assert farthest(shown, answers["exif-8.jpg"]) > 2 * MOVED


WRONG = {  # pairs of photos that a fault would take for one another
    "turned the other way": ("exif-6.jpg", "exif-8.jpg", 50),
    "mirrored": ("exif-2.jpg", "exif-1.jpg", 50),
    "not turned": ("exif-3.jpg", "exif-1.jpg", 50),
    "without its profile": ("p3.png", "plain.png", 10),
    "without its colours": ("plain.png", "grey.png", 10),
    "alpha lost": ("half-on-black.png", "plain.png", 50),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_photo_is_noticed(
    fault: str, browser: str, page: Page, site: Path, contract: Contract
) -> None:
    right, wrong, least = WRONG[fault]
    (wanted,) = inputs(site, contract, right)
    assert largest(seen(page, wrong, contract), wanted) > least


@pytest.mark.parametrize("name", PHOTOS)
def test_the_page_answers_what_python_answers(
    name: str, browser: str, page: Page, site: Path, answers: dict[str, dict[str, float]]
) -> None:
    shown = answer(page, site / SITE / name)
    wanted = answers[PHOTOS[name].instead.get(browser, name)]
    tolerance = MOVED if PHOTOS[name].bounds.get(browser) else ROUNDED
    assert farthest(shown, wanted) < tolerance


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_kind_gets_a_sentence(name: str, page: Page, tmp_path: Path) -> None:
    UNKNOWN[name](tmp_path / name)
    page.choose_file(tmp_path / name)
    page.says("problem", "This file is no image that the browser can show; choose a photo.")
    assert page.text("classes") == ""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_device_is_tested_with_the_threads_that_it_has(
    runtime: str, browser: str, page: Page
) -> None:
    page.open(page.evaluate("return location.href"))
    page.says("status", READY)
    details = choose(page, runtime)
    assert page.text("verdict").startswith("passed, largest difference")
    isolated, shares, cores = page.evaluate(ISOLATION)
    # WebKitGTK isolates a page, but gives it no shared memory: https://webkit.org/b/317847
    assert isolated and shares == (browser != "WebKitGTK")
    most = min(4, cores) if shares else 1
    assert (f"{most} threads." if most > 1 else "1 thread.") in details


def test_webkit_runs_threads_where_it_can_share_memory(site: Path) -> None:
    """Safari can, and so can WebKitGTK with this variable of its engine."""
    skip_without("WebKitGTK")
    with serving(site) as address, webkit(JSC_useSharedArrayBuffer="1") as page:
        page.open(address)
        page.says("status", READY)
        assert " threads." in choose(page, "onnx")
        assert page.text("verdict").startswith("passed, largest difference")
        assert page.evaluate(ISOLATION)[:2] == [True, True]


def test_the_second_visit_needs_no_server(visit: Visit, site: Path) -> None:
    photo = site / SITE / "exif-6.jpg"
    with visit() as page:
        with serving(site) as address:
            page.open(address)
            page.says("status", READY)
            for runtime in RUNTIMES:  # to have the files of both
                choose(page, runtime)
        page.open(address)
        page.says("status", READY)
        for runtime in RUNTIMES:
            choose(page, runtime)
            answer(page, photo)
        page.evaluate(FORGET)
        with pytest.raises(AssertionError):  # so the service worker did it
            page.open(address)
            page.says("status", READY)
