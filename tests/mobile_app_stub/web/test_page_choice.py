"""Which runtime the page uses: the fastest one that passed, also where relaxed SIMD is missing."""

import json
from pathlib import Path
from typing import Any

import pytest

from lesionlite.mobile_app_stub.serve import SITE, serving
from tests.mobile_app_stub.app_sources import rebuild_web
from tests.mobile_app_stub.web.web_page import READY, Visit, choose_runtime, says

SLOW = """const slow = async (...all) => {
  const { run, threads } = await runtime.open(...all);
  const wait = () => new Promise((resolve) => setTimeout(resolve, 400));
  return { threads, run: async (input) => (await wait(), run(input)) };
};
serve({ ...runtime, open: slow });"""
NAMES = {"litert": "LiteRT.js", "onnx": "ONNX Runtime Web"}


@pytest.mark.parametrize(("slow", "fast"), [("litert", "onnx"), ("onnx", "litert")])
def test_the_fastest_one_is_used_and_remembered(
    slow: str, fast: str, web_app: Path, visit: Visit, tmp_path: Path
) -> None:
    app = rebuild_web(web_app, tmp_path, f"worker-{slow}.js", "serve(runtime);", SLOW)
    with serving(app) as address:
        page = visit(address)
        says(page, "comparison", f"The fastest one in this browser was {NAMES[fast]} (")
        says(page, "status", READY)
        assert NAMES[fast] in page.text_content("#details")
        for change in ("0", "localStorage.removeItem('runtime')"):
            page.evaluate(change)
            page.reload()
            says(page, "status", READY)
            assert NAMES[fast] in page.text_content("#details")
            compared = page.text_content("#comparison") != ""
            assert compared == ("removeItem" in change)  # nothing remembered, so it measures again
        choose_runtime(page, NAMES[slow])
        page.reload()
        says(page, "status", READY)
        assert NAMES[slow] in page.text_content("#details")  # what the user chose stays


def test_other_circumstances_or_another_model_are_measured_again(page: Any) -> None:
    for change in (
        "{ ...kept, of: 'an older browser' }",
        "kept",  # and no verdict on this model
    ):
        page.evaluate(
            "() => { const kept = JSON.parse(localStorage.getItem('runtime'));"
            " localStorage.clear();"
            f" localStorage.setItem('runtime', JSON.stringify({change})); }}"
        )
        page.reload()
        says(page, "comparison", "The fastest one")
        says(page, "status", READY)
    page.evaluate("localStorage.setItem('runtime', 'onnx')")  # as pages before this one stored it
    page.reload()
    says(page, "comparison", "The fastest one")


def test_a_new_model_that_fails_in_both_is_measured_once(site_copy: Path, visit: Visit) -> None:
    path = site_copy / SITE / "model" / "golden" / "golden.json"
    golden = json.loads(path.read_text())
    with serving(site_copy) as address:
        page = visit(address, service_workers="block")
        says(page, "status", READY)
        for entry in golden["artifacts"].values():
            entry["probabilities"][3][0] += 0.25
        path.write_text(json.dumps(golden))
        page.evaluate(
            "for (const key of Object.keys(localStorage))"
            " if (key !== 'runtime') localStorage.removeItem(key)"
        )
        page.reload()
        says(page, "problem", "The self-test failed")
        page.wait_for_timeout(1000)
        assert "The self-test failed" in page.text_content("#problem")


def test_the_user_may_choose_while_the_page_measures(
    web_app: Path, visit: Visit, tmp_path: Path
) -> None:
    stuck = SLOW.replace("400", "1e9")  # a runtime that never answers
    app = rebuild_web(web_app, tmp_path, "worker-litert.js", "serve(runtime);", stuck)
    with serving(app) as address:
        page = visit(address)
        says(page, "status", "Testing LiteRT.js")
        choose_runtime(page, "ONNX Runtime Web")
        assert page.locator("#choose").is_enabled()
        page.reload()
        says(page, "status", READY)


# As Safari: a module with relaxed SIMD is refused. LiteRT.js asks with a module of some bytes.
NO_RELAXED_SIMD = """const instantiate = WebAssembly.instantiate;
WebAssembly.instantiate = (module, ...all) =>
  module.byteLength < 200
    ? Promise.reject(new WebAssembly.CompileError("no relaxed SIMD"))
    : instantiate(module, ...all);
serve(runtime);"""


def test_without_relaxed_simd_the_threads_that_run_are_told(
    web_app: Path, visit: Visit, tmp_path: Path, photos: list[Path]
) -> None:
    app = rebuild_web(web_app, tmp_path, "worker-litert.js", "serve(runtime);", NO_RELAXED_SIMD)
    with serving(app) as address:
        page = visit(address)
        asked: list[str] = []
        page.context.on("request", lambda request: asked.append(request.url))
        says(page, "status", READY)
        for name, threads in (("LiteRT.js", "1 thread."), ("ONNX Runtime Web", "2 threads.")):
            choose_runtime(page, name)
            assert page.text_content("#details").endswith(threads)
            assert says(page, "verdict", "passed")
            page.set_input_files("#file", photos[0])
            says(page, "status", "in the model")
        assert any("litert_wasm_compat_internal" in url for url in asked)
        assert not any("litert_wasm_threaded" in url for url in asked)
