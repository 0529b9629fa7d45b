"""Both runtimes on the WebGPU of SwiftShader, which computes on the CPU: answers, never speed."""

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lesionlite.benchmark.elsewhere.page import BROWSERS, SWIFTSHADER, chromium
from lesionlite.benchmark.elsewhere.webgpu import answer_on_webgpu
from lesionlite.export.execute.predictor import load
from lesionlite.export.writers.tflite_file import operator_names, pack, parse
from lesionlite.mobile_app_stub.serve import SITE, serving
from tests.mobile_app_stub.app_sources import rebuild_web
from tests.mobile_app_stub.web.web_page import READY, Visit, choose_runtime, says

PATIENCE = 240  # seconds for SwiftShader to compile a network
NAMES = ("LiteRT.js", "ONNX Runtime Web", "LiteRT.js + WebGPU", "ONNX Runtime Web + WebGPU")
READY_DE = "Wählen Sie ein Foto"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium with an adapter; the fixture `visit` opens pages in it."""
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("chromium is not installed; .ci/run installs it")
    with chromium(SWIFTSHADER) as browser:
        yield browser


def without_onnx_on_gpu(visit: Visit, address: str, **settings: Any) -> Any:
    """A first visit to a page that cannot load ONNX Runtime Web for WebGPU, which takes minutes."""
    page = visit("about:blank", service_workers="block", **settings)
    page.context.route("**/*asyncify*", lambda route: route.abort())
    page.goto(address)
    return page


@pytest.mark.parametrize("precision", ["fp32", "fp16", "w8", "w8a8"])
@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_golden_vectors_on_webgpu(
    suffix: str,
    precision: str,
    browser: Any,
    web_app: Path,
    artifacts: Path,
    run: Path,
    photos: list[Path],
) -> None:
    (artifact,) = artifacts.glob(f"*-{precision}{suffix}")
    (row,) = answer_on_webgpu(browser, web_app, [artifact], run, photos[:2])
    if (suffix, precision) == (".onnx", "fp16"):
        assert not row.passed and "requires f16 but the device does not support it" in row.refusal
        assert row.line().startswith(f"{artifact.name}  refused by WebGPU: ")
        assert "\n" not in row.line()
    else:
        assert row.passed and row.largest is not None and row.median_abs_dp is not None
        assert 0 < row.largest < (0.1 if precision == "w8a8" else 1e-3)
        assert row.median_abs_dp < (0.1 if precision == "w8a8" else 0.02)


def test_four_runtimes_are_measured_and_work_without_a_network(
    web_app: Path, visit: Visit, photos: list[Path]
) -> None:
    with serving(web_app) as address:
        page = visit(address)
        said = says(page, "comparison", "The fastest one in this browser was", PATIENCE)
        assert all(f"{name} (" in said for name in NAMES) and "not used" not in said
    page.context.set_offline(True)  # and the server is gone, too
    page.reload()
    says(page, "status", READY)
    assert page.text_content("#comparison") == ""  # it was remembered
    page.evaluate("document.getElementById('about').open = true")
    for name in NAMES[2:]:
        page.get_by_label(name, exact=True).check()
        says(page, "details", f"{name}, ", PATIENCE)
        assert says(page, "verdict", "passed")
        says(page, "status", READY)
    page.set_input_files("#file", photos[0])
    says(page, "status", "in the model", PATIENCE)


# SwiftShader is never the fastest one.
FASTEST = ("times[key] = verdict.milliseconds", "times[key] = RUNTIMES[key].gpu ? 1 : 2")


def test_the_gpu_answers_until_it_is_lost(
    web_app: Path, visit: Visit, tmp_path: Path, browser: Any, photos: list[Path], run: Path
) -> None:
    model = load(run)
    best = [model.contract.labels[row.argmax()] for row in model.predict(photos[:2])]
    with serving(rebuild_web(web_app, tmp_path, "app.js", *FASTEST)) as address:
        page = without_onnx_on_gpu(visit, address)
        fastest = "The fastest one in this browser was LiteRT.js + WebGPU (1 ms)"
        said = says(page, "comparison", fastest, PATIENCE)
        assert "ONNX Runtime Web + WebGPU is not used: This browser cannot run" in said
        page.reload()
        says(page, "status", "Testing this device")  # its driver might be another one
        says(page, "status", READY, PATIENCE)
        assert page.text_content("#details").endswith("LiteRT.js + WebGPU, 1 thread.")
        page.set_input_files("#file", photos[0])
        says(page, "classes", best[0])
        processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
        (gpu,) = (one["id"] for one in processes["processInfo"] if one["type"].lower() == "gpu")
        os.kill(gpu, signal.SIGKILL)
        page.set_input_files("#file", photos[1])
        says(page, "comparison", "LiteRT.js + WebGPU is not used: The GPU of this device failed")
        says(page, "status", "in the model")  # the same photo, by another runtime
        assert page.locator("#classes span").first.text_content() == best[1]
        assert page.text_content("#details").endswith("LiteRT.js, 2 threads.")
        assert page.text_content("#problem") == ""
        assert page.evaluate("localStorage.getItem('runtime')") is None  # measured again next time


WRONG = """serve({ ...runtime, open: async (...all) => {
  const { run, threads } = await runtime.open(...all);
  return { threads, run: async (input) => (await run(input)).reverse() };
}});"""
# An error that WebGPU tells the device alone: the run itself ends well.
DEAF = """import { getWebGpuDevice } from "@litertjs/core";
serve({ ...runtime, open: async (...all) => {
  const { run, threads } = await runtime.open(...all);
  getWebGpuDevice().createBuffer({ size: 4, usage: 0 });
  await new Promise((resolve) => setTimeout(resolve, 500));
  return { run, threads };
}});"""


def test_wrong_answers_on_webgpu_are_told(
    web_app: Path, tmp_path: Path, browser: Any, artifacts: Path, run: Path, photos: list[Path]
) -> None:
    app = rebuild_web(web_app, tmp_path, "worker-litert-webgpu.js", "serve(runtime);", WRONG)
    (artifact,) = artifacts.glob("*-fp32.tflite")
    (row,) = answer_on_webgpu(browser, app, [artifact], run, photos[:2])
    assert not row.passed and row.largest is not None and row.largest > 0.02
    assert f"{artifact.name}  failed on WebGPU: golden images differ by up to " in row.line()


@pytest.mark.parametrize(
    ("fault", "locale", "ready", "first", "again"),
    [
        (
            *(WRONG, "en-GB", READY, "is not used: failed, largest difference"),
            "is not used: The self-test failed (largest difference",
        ),
        (
            *(DEAF, "de-DE", READY_DE, "wird nicht verwendet: Die GPU dieses Geräts ist"),
            "wird nicht verwendet: Die GPU dieses Geräts ist ausgefallen (Buffer usages",
        ),
    ],
)
def test_a_gpu_that_fails_is_not_used(
    fault: str,
    locale: str,
    ready: str,
    first: str,
    again: str,
    web_app: Path,
    visit: Visit,
    tmp_path: Path,
) -> None:
    app = rebuild_web(web_app, tmp_path, "worker-litert-webgpu.js", "serve(runtime);", fault)
    with serving(app) as address:
        page = without_onnx_on_gpu(visit, address, locale=locale)
        says(page, "comparison", f"LiteRT.js + WebGPU {first}", PATIENCE)
        page.evaluate("document.getElementById('about').open = true")
        page.get_by_label("LiteRT.js + WebGPU", exact=True).click()  # the user insists
        says(page, "comparison", f"LiteRT.js + WebGPU {again}", PATIENCE)
        says(page, "status", ready)
        assert page.locator("#runtimes :checked").get_attribute("value") in ("litert", "onnx")
        assert "WebGPU" not in page.text_content("#details")
        assert page.locator("#choose").is_enabled()


def test_a_file_that_webgpu_takes_in_pieces_is_refused(site_copy: Path, visit: Visit) -> None:
    model = site_copy / SITE / "model"
    (path,) = model.glob("*.tflite")
    tree = parse(path.read_bytes())
    code = tree.operatorCodes[operator_names(tree).index("LOGISTIC")]
    code.builtinCode = code.deprecatedBuiltinCode = 93  # ZEROS_LIKE, which WebGPU lacks
    path.write_bytes(pack(tree))
    golden = json.loads((model / "golden" / "golden.json").read_text())
    golden["artifacts"][path.name]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (model / "golden" / "golden.json").write_text(json.dumps(golden))
    with serving(site_copy) as address:
        page = without_onnx_on_gpu(visit, address)
        said = says(page, "comparison", "(WebGPU takes only a part of it)", PATIENCE)
        assert "LiteRT.js is not used: failed" in said  # so the CPU takes it, and it is changed


NONE = {
    "no adapter": "navigator.gpu.requestAdapter = async () => null",
    "a failing driver": "navigator.gpu.requestAdapter = () => Promise.reject(new Error('none'))",
    "a hanging driver": "navigator.gpu.requestAdapter = () => new Promise(() => {})",
    "no WebGPU": "Object.defineProperty(navigator, 'gpu', { value: undefined })",
}


@pytest.mark.parametrize("why", NONE)
def test_without_an_adapter_nothing_of_it_is_seen_or_fetched(
    why: str, web_app: Path, visit: Visit
) -> None:
    with serving(web_app) as address:
        page = visit("about:blank")
        page.add_init_script(NONE[why])
        asked: list[str] = []
        page.context.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        said = says(page, "comparison", "The fastest one in this browser was")
        assert "WebGPU" not in said and page.locator("#runtimes input").count() == 2
        assert any("worker-onnx.js" in url for url in asked)
        assert not [url for url in asked if "webgpu" in url or "asyncify" in url]
        choose_runtime(page, "ONNX Runtime Web")
