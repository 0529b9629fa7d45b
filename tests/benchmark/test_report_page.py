"""report.html in a real browser, at phone width and in the dark."""

from pathlib import Path
from typing import Any

import pytest

from lesionlite.benchmark.report.html import html
from tests.benchmark.test_report import made_up

CONTRAST = """() => {
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[0-9.]+/g).map(Number).map((v) => v / 255)
      .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = luminance(getComputedStyle(document.body).backgroundColor);
  const ratios = [...document.querySelectorAll("h1, p, td, th, li, figcaption")].map((e) => {
    const ink = luminance(getComputedStyle(e).color);
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  });
  return [paper, Math.min(...ratios)];
}"""


def opened(browser: Any, text: str, folder: Path, width: int, scheme: str) -> tuple[Any, list[str]]:
    """The page, and what went wrong or was asked for while it loaded."""
    file = folder / "report.html"
    file.write_text(text)
    page = browser.new_page(viewport={"width": width, "height": 780}, color_scheme=scheme)
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: trouble.append(request.url))
    page.goto(file.as_uri())
    return page, [what for what in trouble if what != file.as_uri()]


def too_wide(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (390, "light"), (1200, "light")])
def test_it_reads_well(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:
    page, trouble = opened(browser, html(made_up().document()), tmp_path, width, scheme)
    assert trouble == [] and not too_wide(page)
    box = page.locator("h1").bounding_box()
    assert box["y"] + box["height"] < 200 and box["width"] < width
    paper, contrast = page.evaluate(CONTRAST)
    assert (paper < 0.05) == (scheme == "dark") and contrast > 4.5
    for mark in page.locator("svg g").all():
        assert mark.bounding_box()["width"] > 3


def test_these_checks_can_fail(browser: Any, tmp_path: Path) -> None:
    text = html(made_up().document())
    wide = text.replace("overflow-x: auto", "overflow-x: visible")
    assert too_wide(opened(browser, wide, tmp_path, 390, "light")[0])
    pale = text.replace("--soft: #5d6670", "--soft: #aab4be")
    assert opened(browser, pale, tmp_path, 390, "light")[0].evaluate(CONTRAST)[1] < 4.5
    calling = text.replace("</body>", "<img src='nowhere.png'></body>")
    assert opened(browser, calling, tmp_path, 390, "light")[1]
