"""The page in German, from right to left, enlarged, read aloud; what it says about its answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from lesionlite.contract import Contract
from lesionlite.mobile_app_stub.serve import SITE, serving
from tests.mobile_app_stub.web.web_page import READY, Visit, says

WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
OPEN = "document.querySelectorAll('details').forEach((part) => { part.open = true; })"
READY_DE = "Wählen Sie ein Foto"


@pytest.mark.parametrize(
    ("locale", "language", "ready"),
    [("de-AT", "de", READY_DE), ("fr-FR", "en", READY), ("en-US", "en", READY)],
)
def test_the_page_speaks_the_users_language(
    locale: str, language: str, ready: str, web_app: Path, visit: Visit, photos: list[Path]
) -> None:
    with serving(web_app) as address:
        page = visit(address, locale=locale)
        says(page, "status", ready)
        assert page.evaluate("[document.documentElement.lang, document.documentElement.dir]") == [
            language,
            "ltr",
        ]
        page.set_input_files("#file", photos[0])
        says(page, "status", "im Modell" if language == "de" else "in the model")
        shares = page.locator("#classes li").first.inner_text()
        assert (", " in shares or "," in shares) == (language == "de")
        text = page.inner_text("body")
        assert ("Foto wählen" in text) == (language == "de")
        assert ("Choose photo" in text) == (language == "en")


def test_problems_of_page_and_worker_are_said_in_german(
    site_copy: Path, visit: Visit, tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    with serving(site_copy) as address:
        page = visit(address, locale="de-DE")
        says(page, "status", READY_DE)
        page.set_input_files("#file", tmp_path / "text.jpg")
        says(page, "problem", "kein Bild, das der Browser zeigen kann")
        for path in (site_copy / SITE / "model").glob("*fp32.*"):
            path.write_bytes(b"damaged")
        fresh = visit(address, locale="de-DE", service_workers="block")
        says(fresh, "problem", "ist beschädigt")


@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_nothing_is_cut_off_when_enlarged_or_turned_around(
    locale: str, web_app: Path, visit: Visit, photos: list[Path]
) -> None:
    with serving(web_app) as address:
        # 200 %: half as many CSS pixels, each twice as large.
        page = visit(
            address,
            locale=locale,
            viewport={"width": 180, "height": 320},
            device_scale_factor=2,
        )
        says(page, "status", READY_DE if locale == "de-DE" else READY)
        page.set_input_files("#file", photos[0])
        says(page, "status", " ms")
        page.evaluate(OPEN)
        assert page.evaluate(WIDE) == 0
        page.set_viewport_size({"width": 360, "height": 640})
        page.evaluate("document.documentElement.style.fontSize = '200%'")  # text alone
        assert page.evaluate(WIDE) == 0
        page.evaluate("document.documentElement.style.fontSize = ''")
        name = page.locator("#classes li span").first
        left = name.bounding_box()["x"]
        page.evaluate("document.documentElement.dir = 'rtl'")
        assert page.evaluate(WIDE) == 0
        assert name.bounding_box()["x"] > left + 50  # it starts on the right
        page.evaluate("document.querySelector('h1').style.width = '30rem'")
        assert page.evaluate(WIDE) > 0  # what the check is worth


def test_nothing_moves(page: Any) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.evaluate(OPEN)
    assert page.evaluate("document.getAnimations().length") == 0
    moves = "[...document.querySelectorAll('*')].map((e) => getComputedStyle(e))"
    assert page.evaluate(f"{moves}.filter((s) => s.transitionDuration !== '0s').length") == 0
    page.evaluate("document.body.animate([{opacity: 0}, {opacity: 1}], 9999)")
    assert page.evaluate("document.getAnimations().length") == 1  # what the check is worth


def test_screen_readers_hear_problems_results_and_new_versions(
    page: Any, photos: list[Path]
) -> None:
    for part, role, live in (
        ("#problem", "alert", None),
        ("#result", None, "polite"),
        ("div:has(> #update)", "status", None),
    ):
        found = page.locator(part)
        assert (found.get_attribute("role"), found.get_attribute("aria-live")) == (role, live)
    page.evaluate(
        "window.busy = []; new MutationObserver(() => busy.push(document.getElementById('result')"
        ".ariaBusy)).observe(document.getElementById('result'), {attributeFilter: ['aria-busy']})"
    )
    page.set_input_files("#file", photos[0])
    says(page, "status", "in the model")
    page.wait_for_function("busy.at(-1) === 'false'")
    assert page.evaluate("busy")[0] == "true"  # so that the whole answer is read, once


def test_the_operating_point_is_told(site_copy: Path, visit: Visit) -> None:
    path = site_copy / SITE / "model" / "contract.json"
    contract = json.loads(path.read_text())
    count = len(contract["labels"])
    prior = [0.5] + [0.5 / (count - 1)] * (count - 1)
    told = {**contract, "unsure_below": 0.4, "prior": prior, "logit_adjustment": [0.0] * count}
    told["logit_adjustment"][0] = -1.0
    silent = {**contract, "unsure_below": 0.0, "prior": []}
    for changed in (told, silent):
        path.write_text(json.dumps(changed))
        Contract.read(path)
        with serving(site_copy) as address:
            page = visit(address)
            says(page, "status", READY)
            page.evaluate(OPEN)
            text = page.inner_text("#answers")
            if changed is told:
                assert "less than 40.0%" in text
                row = page.locator("#shares tbody tr").first.inner_text().split("\t")
                assert row == [contract["labels"][0], "50.0%", "26.9%"]  # 1 / (1 + e)
                assert page.locator("#shares tbody tr").count() == count
            else:
                assert "never said" in text and "does not say how frequent" in text
                assert not page.locator("#shares").is_visible()


def test_the_licences_are_linked_and_readable_without_a_network(page: Any, web_app: Path) -> None:
    page.context.set_offline(True)
    page.click("footer a")
    page.wait_for_url("**/NOTICE.txt")
    text = page.inner_text("body")
    for part in ("lesionlite-web 0.1.0", "@litertjs/core 2.5.3", "onnxruntime-web 1.30.0"):
        assert part in text
    assert "Apache License" in text and "Microsoft Corporation" in text
    assert text.strip() == (web_app / SITE / "NOTICE.txt").read_text().strip()
