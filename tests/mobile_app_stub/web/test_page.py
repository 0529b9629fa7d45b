"""The web app in Chromium: answers, self-test, damage, photos, camera."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lesionlite.contract import Contract
from lesionlite.export.execute.predictor import load
from lesionlite.mobile_app_stub import serve
from lesionlite.mobile_app_stub.serve import SITE, serving
from lesionlite.train.calibrate.strangers import draw_strangers
from tests.mobile_app_stub.web.web_page import INSECURE, READY, Visit, choose_runtime, says


@pytest.mark.parametrize("runtime", ["LiteRT.js", "ONNX Runtime Web"])
def test_the_page_tests_itself_and_answers(
    runtime: str, web_app: Path, visit: Visit, run: Path, photos: list[Path]
) -> None:
    with serving(web_app) as address:
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


def test_not_sure_below_the_threshold(site_copy: Path, visit: Visit, photos: list[Path]) -> None:
    path = site_copy / SITE / "model" / "contract.json"
    contract = json.loads(path.read_text())
    for threshold, words in ((0.999, "Not sure"), (0.0, "Likeliest first")):
        path.write_text(json.dumps({**contract, "unsure_below": threshold}))
        with serving(site_copy) as address:
            page = visit(address)
            says(page, "status", READY)
            page.set_input_files("#file", photos[0])
            says(page, "status", words)


def test_an_image_of_another_kind_is_told(
    site_copy: Path, visit: Visit, photos: list[Path], tmp_path: Path
) -> None:
    path = site_copy / SITE / "model" / "contract.json"
    contract = replace(Contract.read(path), unsure_below=0.0)
    path.write_text(contract.to_json())
    blank = np.zeros((1, contract.side, contract.side, 3), np.uint8)
    scene = tmp_path / "scene.png"
    Image.fromarray(draw_strangers(blank, contract, 1)["drawn scenes"][0]).save(scene)
    with serving(site_copy) as address:
        page = visit(address)
        says(page, "status", READY)
        for file, words in ((scene, "This does not look like"), (photos[0], "Likeliest first")):
            page.set_input_files("#file", file)
            says(page, "status", words)


def test_a_failed_self_test_lets_nobody_classify(site_copy: Path, visit: Visit) -> None:
    path = site_copy / SITE / "model" / "golden" / "golden.json"
    golden = json.loads(path.read_text())
    for entry in golden["artifacts"].values():
        entry["probabilities"][3][0] += 0.25
    path.write_text(json.dumps(golden))
    with serving(site_copy) as address:
        page = visit(address)
        says(page, "problem", "The self-test failed (largest difference 0.25, tolerated 0.02)")
        assert "failed" in page.text_content("#verdict")
        assert page.locator("#choose").is_disabled() and page.locator("#take").is_disabled()
        page.reload()
        says(page, "problem", "The self-test failed")
        assert page.locator("#choose").is_disabled()


def test_a_page_without_https_gets_a_sentence(
    web_app: Path, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "NAMES", (INSECURE,))  # as a web server of somebody else's answers
    with serving(web_app) as address:
        page = visit(address.replace(serve.HOST, INSECURE))
        says(page, "problem", "cannot be checked on a page without https")
        assert page.locator("#choose").is_disabled()


FULL = "Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); }; 0"


def test_a_browser_without_room_answers_all_the_same(
    web_app: Path, visit: Visit, photos: list[Path]
) -> None:
    with serving(web_app) as address:
        page = visit(address)
        says(page, "status", READY)
        quota = {"origin": address.rstrip("/"), "quotaSize": 1}
        page.context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", quota)
        page.evaluate(FULL)
        choose_runtime(page, "ONNX Runtime Web")  # whose files are fetched now
        page.set_input_files("#file", photos[0])
        says(page, "status", "of them in the model")


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a changed bit": ("*fp32.*", flip_a_bit, "fp32.tflite is damaged"),
    "no models": ("*fp32.*", Path.unlink, "fp32.tflite cannot be fetched"),
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
def test_damage_gets_a_sentence(name: str, site_copy: Path, visit: Visit) -> None:
    pattern, damage, sentence = DAMAGES[name]
    damaged = list((site_copy / SITE / "model").glob(pattern))
    assert damaged
    for path in damaged:
        damage(path)
    # As where a browser lacks service workers: else the missing file ends the installation first.
    with serving(site_copy) as address:
        page = visit(address, service_workers="block")
        assert sentence in says(page, "problem", ".")
        assert page.locator("#choose").is_disabled()


def test_one_damaged_model_leaves_the_other(site_copy: Path, visit: Visit) -> None:
    (path,) = (site_copy / SITE / "model").glob("*.tflite")
    flip_a_bit(path)
    with serving(site_copy) as address:
        page = visit(address)
        says(page, "comparison", "LiteRT.js is not used: The model mobilevitv2_050-fp32.tflite is")
        says(page, "status", READY)
        assert "ONNX Runtime Web" in page.text_content("#details")
        assert page.locator("#choose").is_enabled()


def test_a_model_that_the_runtime_refuses(site_copy: Path, visit: Visit) -> None:
    import hashlib

    model = site_copy / SITE / "model"
    (path,) = model.glob("*.onnx")
    path.write_bytes(b"nothing that a runtime reads")
    golden = json.loads((model / "golden" / "golden.json").read_text())
    golden["artifacts"][path.name]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (model / "golden" / "golden.json").write_text(json.dumps(golden))
    with serving(site_copy) as address:
        page = visit(address)
        says(page, "status", READY)
        page.evaluate("document.getElementById('about').open = true")
        page.get_by_label("ONNX Runtime Web").check()
        says(page, "problem", "This browser cannot run")
        choose_runtime(page, "LiteRT.js")  # and the way back is open
        assert page.locator("#choose").is_enabled()


def test_photos_that_are_none_or_too_large(page: Any, photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "half.jpg").write_bytes(photos[0].read_bytes()[:200])
    with Image.open(photos[0]) as image:
        image.resize((8660, 5774)).save(tmp_path / "50.jpg")
    Image.new("L", (12000, 9000)).save(tmp_path / "108.png")
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


def test_the_camera(page: Any) -> None:
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


def test_no_camera(page: Any) -> None:
    for error, words in (("NotFoundError", "no camera"), ("NotReadableError", "another app")):
        page.evaluate(
            "name => { navigator.mediaDevices.getUserMedia = async () => { throw new "
            "DOMException('', name); }; }",
            error,
        )
        page.click("#take")
        says(page, "problem", words)


def test_what_nobody_foresaw_is_said(page: Any) -> None:
    page.evaluate("Storage.prototype.removeItem = () => { throw new Error('refused'); }; 0")
    page.evaluate("document.getElementById('about').open = true")
    page.click("#again")  # its verdict cannot be kept
    says(page, "problem", "An unexpected error occurred (Error: refused)")
