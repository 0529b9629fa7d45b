"""The web app in Chromium: answers, self-test, problems, offline, accessibility."""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmark.predictor import load
from export.serve import SITE, build_site, open_server
from tests.app_sources import rebuild_web
from train.contract import Contract

READY = "Choose or take a photo."


@contextmanager
def served(web_app: Path, port: int = 0) -> Iterator[str]:
    with open_server(web_app, port) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def copy(web_app: Path, tmp_path: Path) -> Path:
    """The built web_app, to plant faults in."""
    shutil.copytree(web_app / SITE, tmp_path / "app" / SITE)
    return tmp_path / "app"


Visit = Callable[..., Any]


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """Opens an address as somebody who was never there, on a phone's screen."""
    contexts = []

    def visit(address: str, **settings: Any) -> Any:
        screen = {"width": 360, "height": 640}
        context = browser.new_context(**{"viewport": screen, "locale": "en-GB", **settings})
        contexts.append(context)
        page = context.new_page()
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()


def says(page: Any, part: str, text: str) -> str:
    """Wait until a part of the page says this; all that it says."""
    page.wait_for_function(
        "([part, text]) => document.getElementById(part).textContent.includes(text)",
        arg=[part, text],
        timeout=60_000,
    )
    return str(page.text_content(f"#{part}"))


def choose_runtime(page: Any, name: str) -> None:
    if not page.locator("#about").get_attribute("open"):
        page.evaluate("document.getElementById('about').open = true")
    page.get_by_label(name).check()
    says(page, "details", name)
    says(page, "status", READY)


@pytest.mark.parametrize("runtime", ["LiteRT.js", "ONNX Runtime Web"])
def test_the_page_tests_itself_and_answers(
    runtime: str, web_app: Path, visit: Visit, run: Path, photos: list[Path]
) -> None:
    with served(web_app) as address:
        page = visit(address)
        asked: list[str] = []
        page.context.on("request", lambda request: asked.append(request.url))
        says(page, "status", READY)
        choose_runtime(page, runtime)
        assert says(page, "verdict", "passed, largest difference").endswith("tolerated 0.02")
        assert "2 threads" in page.text_content("#details")  # isolated from the first visit on
        model = load(run)
        for photo in photos[:3]:
            page.set_input_files("#file", photo)
            assert "in the model" in says(page, "status", " ms")
            (answer,) = model.predict([photo])
            best = answer.argsort()[::-1][:3]
            shown = [item.inner_text().split("\n") for item in page.locator("#classes li").all()]
            assert [row[0] for row in shown] == [model.contract.labels[i] for i in best]
            assert [float(row[1].rstrip("%")) for row in shown] == pytest.approx(
                100 * answer[best], abs=0.06
            )
            unsure = answer.max() < model.contract.unsure_below
            assert ("Not sure" in page.text_content("#status")) == unsure
            page.evaluate("document.getElementById('status').textContent = ''")
        assert all(url.startswith((address, "blob:")) for url in asked), asked


def test_not_sure_below_the_threshold(copy: Path, visit: Visit, photos: list[Path]) -> None:
    path = copy / SITE / "model" / "contract.json"
    contract = json.loads(path.read_text())
    for threshold, words in ((0.999, "Not sure"), (0.0, "Likeliest first")):
        path.write_text(json.dumps({**contract, "unsure_below": threshold}))
        with served(copy) as address:
            page = visit(address)
            says(page, "status", READY)
            page.set_input_files("#file", photos[0])
            says(page, "status", words)


def test_a_failed_self_test_lets_nobody_classify(copy: Path, visit: Visit) -> None:
    path = copy / SITE / "model" / "golden" / "golden.json"
    golden = json.loads(path.read_text())
    for entry in golden["artifacts"].values():
        entry["probabilities"][3][0] += 0.25
    path.write_text(json.dumps(golden))
    with served(copy) as address:
        page = visit(address)
        says(page, "problem", "The self-test failed (largest difference 0.25, tolerated 0.02)")
        assert "failed" in page.text_content("#verdict")
        assert page.locator("#choose").is_disabled() and page.locator("#take").is_disabled()
        page.reload()
        says(page, "problem", "The self-test failed")
        assert page.locator("#choose").is_disabled()


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a changed bit": ("*.tflite", flip_a_bit, "fp32.tflite is damaged"),
    "no model": ("*.tflite", Path.unlink, "fp32.tflite cannot be fetched"),
    "no contract": ("contract.json", Path.unlink, "contract.json cannot be fetched"),
    "contract is no JSON": ("contract.json", lambda p: p.write_text("{"), "is no JSON"),
    "wrong contract": ("contract.json", lambda p: p.write_text('{"version": 9}'), "version 9"),
    "labels of another": (
        "golden/golden.json",
        lambda p: p.write_text(p.read_text().replace("Melanoma", "Nevus")),
        "other labels",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_gets_a_sentence(name: str, copy: Path, visit: Visit) -> None:
    pattern, damage, sentence = DAMAGES[name]
    (path,) = (copy / SITE / "model").glob(pattern)
    damage(path)
    # As where a browser lacks service workers: else the missing file ends the installation first.
    with served(copy) as address:
        page = visit(address, service_workers="block")
        assert sentence in says(page, "problem", ".")
        assert page.locator("#choose").is_disabled()


def test_a_model_that_the_runtime_refuses(copy: Path, visit: Visit) -> None:
    import hashlib

    model = copy / SITE / "model"
    (path,) = model.glob("*.onnx")
    path.write_bytes(b"nothing that a runtime reads")
    golden = json.loads((model / "golden" / "golden.json").read_text())
    golden["artifacts"][path.name]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (model / "golden" / "golden.json").write_text(json.dumps(golden))
    with served(copy) as address:
        page = visit(address)
        says(page, "status", READY)
        page.evaluate("document.getElementById('about').open = true")
        page.get_by_label("ONNX Runtime Web").check()
        says(page, "problem", "This browser cannot run")
        choose_runtime(page, "LiteRT.js")  # and the way back is open
        assert page.locator("#choose").is_enabled()


def test_photos_that_are_none_or_too_large(
    web_app: Path, visit: Visit, photos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "half.jpg").write_bytes(photos[0].read_bytes()[:200])
    with Image.open(photos[0]) as image:
        image.resize((8660, 5774)).save(tmp_path / "50.jpg")
    Image.new("L", (12000, 9000)).save(tmp_path / "108.png")
    with served(web_app) as address:
        page = visit(address)
        says(page, "status", READY)
        for name in ("text.jpg", "half.jpg"):
            page.set_input_files("#file", tmp_path / name)
            says(page, "problem", "no image that the browser can show; choose a photo.")
            assert page.locator("#choose").is_enabled()
        page.evaluate(
            "window.said = []; new MutationObserver(() => said.push(document.getElementById("
            "'status').textContent)).observe(document.getElementById('status'), {childList: true})"
        )
        page.set_input_files("#file", tmp_path / "50.jpg")
        says(page, "status", "in the model")
        assert "Reading 50 megapixels …" in page.evaluate("said")
        assert page.text_content("#problem") == ""
        page.set_input_files("#file", tmp_path / "108.png")
        says(page, "problem", "This photo has 108 megapixels; choose one of at most 100.")
        assert page.locator("#classes li").count() == 0  # the last photo's answer is gone


def test_the_camera(web_app: Path, visit: Visit) -> None:
    with served(web_app) as address:
        page = visit(address)
        says(page, "status", READY)
        page.click("#take")
        says(page, "problem", "The camera was refused; allow it in the browser's settings")
        assert page.locator("#take").is_enabled()
        page.context.grant_permissions(["camera"])
        page.click("#take")
        page.locator("#camera[open]").wait_for()
        page.keyboard.press("Escape")
        page.locator("#camera[open]").wait_for(state="hidden")
        assert page.locator("#classes li").count() == 0
        page.click("#take")
        page.click("#shoot")
        says(page, "status", "in the model")
        assert page.locator("#classes li").count() == 3


def test_no_camera(web_app: Path, visit: Visit) -> None:
    with served(web_app) as address:
        page = visit(address)
        says(page, "status", READY)
        for error, words in (("NotFoundError", "no camera"), ("NotReadableError", "another app")):
            page.evaluate(
                "name => { navigator.mediaDevices.getUserMedia = async () => { throw new "
                "DOMException('', name); }; }",
                error,
            )
            page.click("#take")
            says(page, "problem", words)


def test_the_second_visit_needs_no_network(web_app: Path, visit: Visit, photos: list[Path]) -> None:
    with served(web_app) as address:
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


def test_a_hard_reload(web_app: Path, visit: Visit) -> None:
    with served(web_app) as address:
        page = visit(address)
        says(page, "status", READY)
        page.context.new_cdp_session(page).send("Page.reload", {"ignoreCache": True})
        page.wait_for_function("navigator.serviceWorker.controller === null")
        says(page, "status", READY)


def test_a_new_version_waits_until_it_is_wanted(copy: Path, visit: Visit) -> None:
    with served(copy) as address:
        page = visit(address)
        says(page, "status", READY)
        worker, index = copy / SITE / "service-worker.js", copy / SITE / "index.html"
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
    with served(web_app) as address:
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
    root = Path(__file__).parents[1]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=root, **pipes) as server:  # type: ignore[call-overload]
        lines = iter(server.stderr.readline, "")
        (address,) = re.findall(r"http://\S+", next(x for x in lines if x.startswith("next:")))
        says(visit(address), "status", READY)
        server.send_signal(signal.SIGINT)
        said, _ = server.communicate(timeout=30)
    assert server.returncode == 0 and json.loads(said)["address"] == address


def test_buttons_are_large_and_in_sight(web_app: Path, visit: Visit, photos: list[Path]) -> None:
    with served(web_app) as address:
        page = visit(address)
        says(page, "status", READY)
        page.set_input_files("#file", photos[0])
        says(page, "status", "in the model")
        for button in page.locator(".actions button:visible").all():
            box = button.bounding_box()
            assert box["height"] >= 44 and box["y"] + box["height"] <= 640
        assert page.locator("#classes li").first.bounding_box()["y"] < 640


def test_the_lines_of_the_readme(
    web_app: Path, visit: Visit, tmp_path: Path, run: Path, photos: list[Path]
) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    (lines,) = re.findall(r"```js\n(.*?)```", readme, re.S)
    (name,) = re.findall(r"model/([\w-]+\.onnx)", lines)
    assert (web_app / "model" / name).is_file()
    imports = re.findall(r"^import .*$", lines, re.M)
    rest = lines
    for line in imports:
        rest = rest.replace(line, "")
    text = "\n".join(imports) + "\nglobalThis.ask = async (file) => {\n" + rest
    (tmp_path / "readme.js").write_text(text + "return { top, unsure };\n};\n")
    again = rebuild_web(web_app, tmp_path, "app.js", "start();\n", 'import "../readme.js";\n')
    with served(again) as address:
        page = visit(address)
        page.set_input_files("#file", photos[0])
        page.wait_for_function("'ask' in globalThis")
        answer = page.evaluate("ask(document.getElementById('file').files[0])")
    model = load(run)
    (expected,) = model.predict([photos[0]])
    assert answer["top"][0]["label"] == model.contract.labels[expected.argmax()]
    assert answer["top"][0]["probability"] == pytest.approx(expected.max(), abs=1e-3)
    assert answer["unsure"] == bool(expected.max() < model.contract.unsure_below)


def test_what_nobody_foresaw_is_said(web_app: Path, visit: Visit) -> None:
    with served(web_app) as address:
        page = visit(address)
        says(page, "status", READY)
        page.evaluate("Storage.prototype.setItem = () => { throw new Error('refused'); }; 0")
        page.evaluate("document.getElementById('about').open = true")
        page.click("#again")  # its verdict cannot be kept
        says(page, "problem", "Something unforeseen went wrong (Error: refused)")


def test_it_can_be_installed(web_app: Path, visit: Visit) -> None:
    with served(web_app) as address:
        page = visit(address)
        says(page, "status", READY)
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

    once = rebuild_web(web_app, tmp_path, "ranking.js", "SHOWN = 3", "SHOWN = 2")
    before = files(once / SITE)
    build_site(once)
    assert before == files(once / SITE)
    version = "service-worker.js"  # another page, another version of the cache
    assert before[version] != (web_app / SITE / version).read_bytes()


def test_the_contract_on_the_page_is_the_models(web_app: Path, run: Path) -> None:
    model = web_app / SITE / "model"
    assert Contract.read(model / "contract.json") == Contract.read(run / "contract.json")
