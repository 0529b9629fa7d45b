"""TFLite and ONNX files in Chromium: PyTorch's answers to photos, and times beside native ones."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lesionlite.benchmark.elsewhere.browser import Browser, benchmark_in_browser
from lesionlite.benchmark.elsewhere.page import pages
from lesionlite.benchmark.elsewhere.webgpu import compare
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.predictor import load
from tests.mobile_app_stub.app_sources import rebuild_web
from tests.paths import SHARED

DATA = SHARED / "data"


@pytest.fixture(scope="session")
def real_photos() -> list[Path]:
    if not DATA.is_dir():
        pytest.skip("needs the shared images")
    photos = sorted((DATA / "ham10000" / "images").glob("*.jpg"))[::200][:50]
    return photos + sorted((DATA / "infectious" / "images").rglob("*.jpg"))[::33][:50]


@pytest.mark.parametrize("kind", ["photos", "real_photos"])
def test_100_photos_are_answered_as_pytorch_does(
    kind: str,
    browser: Any,
    web_app: Path,
    artifacts: Path,
    run: Path,
    request: pytest.FixtureRequest,
) -> None:
    photos = request.getfixturevalue(kind)
    assert len(photos) == 100
    wanted = load(run).predict(photos)
    both = [next(artifacts.glob(f"*-fp32{suffix}")) for suffix in (".tflite", ".onnx")]
    with pages(browser, web_app, both) as opened:
        for page in opened:
            agreement, median_abs_dp = compare(page.classify(photos)[0], wanted)
            assert agreement >= 0.98 and median_abs_dp < 0.02, page.runtime


def test_photos_prepared_wrongly_are_noticed(
    web_app: Path, tmp_path: Path, browser: Any, artifacts: Path, run: Path, photos: list[Path]
) -> None:
    negative = rebuild_web(
        web_app,
        tmp_path,
        "engine.js",
        "const input = await toInput(blob, this.classifier.contract);",
        "const input = (await toInput(blob, this.classifier.contract)).map((v) => 255 - v);",
    )
    (artifact,) = artifacts.glob("*-fp32.onnx")
    with pages(browser, negative, [artifact]) as (page,):
        agreement, median_abs_dp = compare(page.classify(photos)[0], load(run).predict(photos))
    assert agreement < 0.98 and median_abs_dp > 0.02


def test_the_browser_is_timed_beside_the_native_runtime(
    browser: Any, web_app: Path, artifacts: Path, run: Path, photos: list[Path]
) -> None:
    (artifact,) = artifacts.glob("*-fp32.tflite")
    (row,) = benchmark_in_browser(browser, web_app, [artifact], run, photos[:4], 0.2)
    assert row.agreement == 1 and row.photo_ms > row.p50_ms > 0 and row.native_p50_ms > 0
    assert "LiteRT.js, 2 threads" in row.line()


def test_50_megapixels_are_answered_as_pytorch_does(
    web_app: Path, browser: Any, artifacts: Path, run: Path, photos: list[Path], tmp_path: Path
) -> None:
    with Image.open(photos[0]) as image:
        image.resize((8660, 5774)).save(tmp_path / "50.jpg")
    (artifact,) = artifacts.glob("*-fp32.tflite")
    with pages(browser, web_app, [artifact]) as (page,):
        found, _ = page.classify([tmp_path / "50.jpg"])
    assert compare(found, load(run).predict([tmp_path / "50.jpg"]))[1] < 0.001


def test_without_golden_vectors(
    web_app: Path, browser: Any, artifacts: Path, tmp_path: Path
) -> None:
    (artifact,) = artifacts.glob("*-fp32.onnx")
    for file in (artifact, artifacts / "contract.json", artifacts / "manifest.json"):
        shutil.copy(file, tmp_path)
    with (
        pytest.raises(LesionliteError, match="golden vectors .* are missing"),
        pages(browser, web_app, [tmp_path / artifact.name]),
    ):
        pass


def test_what_cannot_be_measured(
    web_app: Path, artifacts: Path, run: Path, drawn: Path, tmp_path: Path
) -> None:
    with pytest.raises(LesionliteError, match="there is no folder"):
        Browser(tmp_path / "none", artifacts, run, drawn).run()
    with pytest.raises(LesionliteError, match="run `lesionlite serve"):
        Browser(tmp_path, artifacts, run, drawn).run()
    with pytest.raises(LesionliteError, match="photos is 0; it must be from 1"):
        Browser(web_app, artifacts, run, drawn, photos=0).run()
    (package,) = artifacts.glob("*-fp32.mlpackage")
    with pytest.raises(LesionliteError, match="holds no .tflite or .onnx artifact"):
        Browser(web_app, package, run, drawn).run()
