"""The web app as a site: offline, updates, everybody's use, installation, build, README."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lesionlite.contract import Contract
from lesionlite.export.execute.predictor import load
from lesionlite.mobile_app_stub.serve import SITE, Handler, build_site, serving
from tests.mobile_app_stub.app_sources import rebuild_web
from tests.mobile_app_stub.web.web_page import READY, Visit, choose_runtime, says
from tests.paths import ROOT


def test_the_second_visit_needs_no_network(web_app: Path, visit: Visit, photos: list[Path]) -> None:
    with serving(web_app) as address:
        page = visit(address)
        says(page, "status", READY)
        choose_runtime(page, "ONNX Runtime Web")
    page.context.set_offline(True)  # and the server is gone, too
    page.goto(address)
    says(page, "status", READY)
    for runtime in ("LiteRT.js", "ONNX Runtime Web"):
        choose_runtime(page, runtime)
        page.set_input_files("#file", photos[0])
        says(page, "status", "in the model")
        page.click("#again")
        says(page, "verdict", "passed")


@pytest.mark.parametrize(("failures", "offline"), [(1, True), (2, False)])
def test_an_installation_that_failed_is_tried_once_more(
    failures: int, offline: bool, web_app: Path, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve, left = Handler.send_head, [failures]

    def fail(handler: Any) -> Any:
        """Refuse a file that the service worker fetches, so often."""
        asks = str(handler.headers.get("Referer")).endswith("service-worker.js")
        if not (asks and handler.path == "/style.css" and left[0]):
            return serve(handler)
        left[0] -= 1
        return handler.send_error(503)

    monkeypatch.setattr(Handler, "send_head", fail)
    with serving(web_app) as address:
        page = visit(address)
        says(page, "status", READY)  # with the network, it works in any case
        for _ in range(600):  # a slow machine's page does not wait for the installation
            if not left[0]:
                break
            page.wait_for_timeout(100)
        assert not left[0]
        if offline:
            page.wait_for_function("navigator.serviceWorker.controller", timeout=60_000)
        else:
            assert page.evaluate("navigator.serviceWorker.controller") is None


def test_a_hard_reload(page: Any) -> None:
    page.context.new_cdp_session(page).send("Page.reload", {"ignoreCache": True})
    page.wait_for_function("navigator.serviceWorker.controller === null")
    says(page, "status", READY)


def test_a_new_version_waits_until_it_is_wanted(site_copy: Path, visit: Visit) -> None:
    with serving(site_copy) as address:
        page = visit(address)
        says(page, "status", READY)
        worker, index = site_copy / SITE / "service-worker.js", site_copy / SITE / "index.html"
        worker.write_text(worker.read_text().replace("lesionlite-$", "lesionlite-next-$"))
        index.write_text(index.read_text().replace("<h1>Lesionlite", "<h1>Newer"))
        page.reload()
        assert page.text_content("h1") == "Lesionlite"
        page.click("#renew")
        page.get_by_role("heading", name="Newer").wait_for()
        assert page.evaluate("caches.keys().then((keys) => keys.length)") == 1


AXE = """async () => (await axe.run()).violations.map(({ id, nodes }) =>
  [id, ...nodes.map((node) => node.html)])"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(
    scheme: str, web_app: Path, visit: Visit, photos: list[Path], tmp_path: Path
) -> None:
    axe = (web_app / "node_modules" / "axe-core" / "axe.min.js").read_text()
    with serving(web_app) as address:
        page = visit(address, color_scheme=scheme, bypass_csp=True)
        # Playwright intercepts choosers from now on; asked at the key press it may come too late.
        page.on("filechooser", lambda chooser: None)
        page.evaluate(axe)
        says(page, "status", READY)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "choose"
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files(photos[0])
        says(page, "status", "in the model")
        page.evaluate("document.getElementById('about').open = true")
        assert page.evaluate(AXE) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        (tmp_path / "text.jpg").write_text("no image")
        page.set_input_files("#file", tmp_path / "text.jpg")
        says(page, "problem", "no image")
        assert page.evaluate(AXE) == []
        bright = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (int(bright.split("(")[1].split(",")[0]) > 128) == (scheme == "light")
        # What the checks are worth: both notice a fault.
        page.evaluate("document.getElementById('disclaimer').style.color = '#777'")
        page.evaluate("document.getElementById('choose').textContent = ''")
        found = {rule for rule, *_ in page.evaluate(AXE)}
        assert found >= {"color-contrast", "button-name"}


def test_the_command_serves_until_it_is_stopped(web_app: Path, visit: Visit) -> None:
    command = [sys.executable, "-m", "lesionlite", "serve", str(web_app), "--port", "0", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as server:  # type: ignore[call-overload]
        try:
            lines = iter(server.stderr.readline, "")
            (address,) = re.findall(r"http://\S+", next(x for x in lines if x.startswith("next:")))
            says(visit(address), "status", READY)
            server.send_signal(signal.SIGINT)
            said, _ = server.communicate(timeout=30)
        finally:
            server.kill()  # else a failure waits for the server, without end
    assert server.returncode == 0 and json.loads(said)["address"] == address


def test_buttons_are_large_and_in_sight(page: Any, photos: list[Path]) -> None:
    page.set_input_files("#file", photos[0])
    says(page, "status", "in the model")
    for button in page.locator(".actions button:visible").all():
        box = button.bounding_box()
        assert box["height"] >= 44 and box["y"] + box["height"] <= 640
    assert page.locator("#classes li").first.bounding_box()["y"] < 640


def test_the_lines_of_the_readme(
    web_app: Path, visit: Visit, tmp_path: Path, run: Path, photos: list[Path]
) -> None:
    readme = (ROOT / "README.md").read_text()
    (lines,) = re.findall(r"```js\n(.*?)```", readme, re.S)
    imports = re.findall(r"^import .*$", lines, re.M)
    rest = lines
    for line in imports:
        rest = rest.replace(line, "")
    text = "\n".join(imports) + "\nglobalThis.ask = async (file) => {\n" + rest
    (tmp_path / "readme.js").write_text(text + "return { top, unsure, rejected };\n};\n")
    again = rebuild_web(web_app, tmp_path, "app.js", "start();\n", 'import "../readme.js";\n')
    with serving(again) as address:
        page = visit(address)
        page.set_input_files("#file", photos[0])
        page.wait_for_function("'ask' in globalThis")
        answer = page.evaluate("ask(document.getElementById('file').files[0])")
    model = load(run)
    (expected,) = model.predict([photos[0]])
    assert answer["top"][0]["label"] == model.contract.labels[expected.argmax()]
    assert answer["top"][0]["probability"] == pytest.approx(expected.max(), abs=1e-3)
    assert answer["unsure"] == bool(expected.max() < model.contract.unsure_below)


def test_it_can_be_installed(web_app: Path, page: Any) -> None:
    session = page.context.new_cdp_session(page)
    found = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert [e["errorId"] for e in found] in ([], ["in-incognito"])
    site = web_app / SITE
    manifest = json.loads((site / "app.webmanifest").read_text())
    assert manifest["display"] == "standalone" and manifest["start_url"] == "./"
    for icon in manifest["icons"]:
        path = site / icon["src"]
        assert path.is_file()
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert "x".join(map(str, image.size)) == icon["sizes"]
    assert {"192x192", "512x512"} <= {icon["sizes"] for icon in manifest["icons"]}


def test_the_same_build_twice(web_app: Path, tmp_path: Path) -> None:
    def files(folder: Path) -> dict[str, bytes]:
        return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*.js")}

    once = rebuild_web(web_app, tmp_path, "app.js", "SLOW = 12", "SLOW = 13")
    before = files(once / SITE)
    build_site(once)
    assert before == files(once / SITE)
    version = "service-worker.js"  # another page, another version of the cache
    assert before[version] != (web_app / SITE / version).read_bytes()


def test_the_contract_on_the_page_is_the_models(web_app: Path, run: Path) -> None:
    model = web_app / SITE / "model"
    assert Contract.read(model / "contract.json") == Contract.read(run / "contract.json")
