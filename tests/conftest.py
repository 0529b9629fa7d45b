"""One small network, trained, exported and shared by all tests: conversions are what takes time.

With pytest-xdist (`make test`) its workers share it, too: whichever comes first makes it.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # threads of two workers that wait actively on two cores
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from lesionlite.benchmark.elsewhere.page import BROWSERS, chromium
from lesionlite.contract import Contract
from lesionlite.export.config import ExportConfig
from lesionlite.export.execute.golden import export_with_golden
from lesionlite.export.formats import FORMATS
from lesionlite.export.forms.mobilevitv2 import MobileForm
from lesionlite.export.manifest import MANIFEST
from lesionlite.export.quantize.weights.weight_rounding import WeightRounder
from lesionlite.export.quantize.wiring import Wiring, trace
from lesionlite.files import sha256_file
from lesionlite.layout import CONTRACT
from lesionlite.mobile_app_stub.embed import embed
from lesionlite.mobile_app_stub.serve import SITE, build_site, serving
from lesionlite.train.config import TrainConfig
from lesionlite.train.data.images import load_inputs
from lesionlite.train.data.splits import read_split
from lesionlite.train.data.synthetic import DRAWN, draw, draw_dataset
from lesionlite.train.model import load_run
from lesionlite.train.results import train_and_test
from tests.mobile_app_stub.web.web_page import INSECURE, READY, Visit, says

TINY = TrainConfig(
    false_rejections=0.1,  # so few images show no smaller share
    model="mobilevitv2_050",
    weights="none",
    side=64,
    epochs=2,
    batch=16,
    lr=2e-3,
    bf16="off",
    cache=False,
)


@pytest.fixture(autouse=True, scope="session")
def no_pixels_in_the_users_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Only the Arm system, which takes long to fetch, is looked for there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "lesionlite.train.data.cache.cache_folder", lambda: tmp_path_factory.mktemp("cache")
        )
        yield


SLOW_FIXTURES = {"run", "artifacts", "browser"}  # they train, convert, or start Chromium


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what a slow fixture makes slow, and begin with the two slowest files.

    Those two need every conversion; at the start, two workers convert at once.
    """
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.stem not in ("test_benchmark", "test_reproducible"))


Shared = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Gives the folder of a name, which `make` fills, once for all workers."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        done = base / f"{name}.done"
        with FileLock(base / f"{name}.lock"):
            if not done.exists():
                make(base / name)
                done.touch()
        return base / name

    return folder


@pytest.fixture(scope="session")
def drawn(shared: Shared) -> Path:
    """A data folder of drawn images."""
    return shared("drawn", lambda folder: draw_dataset(folder, images=350))


@pytest.fixture(scope="session")
def run(drawn: Path, shared: Shared) -> Path:
    """A run folder, trained for two short epochs.

    Of most seeds, a network of so few steps answers all images alike, and would show no fault.
    """
    return shared("run", lambda folder: train_and_test(drawn, folder, replace(TINY, seed=1)))


@pytest.fixture(scope="session")
def artifacts(run: Path, drawn: Path, shared: Shared) -> Path:
    """A folder with every artifact of the run."""
    config = ExportConfig(tuple(FORMATS), calibration=14, tuning_steps=8)
    return shared("artifacts", lambda folder: export_with_golden(run, folder, config, drawn))


@pytest.fixture(scope="session")
def images(drawn: Path, run: Path) -> np.ndarray:
    """Training images as a network takes them, uint8 [N, 64, 64, 3]."""
    files = read_split(drawn / "train").files[::8]
    return load_inputs(files, Contract.read(run / CONTRACT))


@pytest.fixture(scope="session")
def form(run: Path) -> MobileForm:
    """The run's network, rewritten."""
    return MobileForm(*load_run(run))


@pytest.fixture(scope="session")
def rounder(form: MobileForm, images: np.ndarray) -> WeightRounder:
    """What rounds the form's weights."""
    return WeightRounder(form, images)


@pytest.fixture(scope="session")
def wiring(form: MobileForm, images: np.ndarray) -> Wiring:
    """The form's."""
    return trace(form, torch.from_numpy(images[:1]))


@pytest.fixture(scope="session")
def web_app(artifacts: Path, shared: Shared) -> Path:
    """The web app as a user makes it, with exact models, built."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed; .ci/run installs it")

    def make(folder: Path) -> None:
        embed(artifacts, "web", folder, "fp32")
        build_site(folder)

    return shared("web-app", make)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, with a camera that is none."""
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("chromium is not installed; .ci/run installs it")
    with chromium(
        "--use-fake-device-for-media-stream", f"--host-resolver-rules=MAP {INSECURE} 127.0.0.1"
    ) as browser:
        yield browser


@pytest.fixture(scope="session")
def photos(shared: Shared) -> list[Path]:
    """100 drawn photos as phones make them: JPEG, oblong, some of them lying on their side."""

    def make(folder: Path) -> None:
        folder.mkdir()
        rng = np.random.default_rng(1)
        for index in range(100):
            image = Image.fromarray(np.asarray(draw(index % len(DRAWN), rng, 240), np.uint8))
            wide, high = (int(n) for n in rng.integers(150, 640, 2))
            exif = Image.Exif()
            exif[0x0112] = (1, 6, 8, 3)[index % 4]
            image.resize((wide, high)).save(
                folder / f"{index:03}.jpg", quality=int(rng.integers(60, 96)), exif=exif
            )

    return sorted(shared("photos", make).glob("*.jpg"))


@pytest.fixture
def site_copy(web_app: Path, tmp_path: Path) -> Path:
    """The built app, to plant faults in."""
    shutil.copytree(web_app / SITE, tmp_path / "app" / SITE)
    return tmp_path / "app"


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


@pytest.fixture
def page(web_app: Path, visit: Visit) -> Iterator[Any]:
    """The web app, visited for the first time, and ready."""
    with serving(web_app) as address:
        opened = visit(address)
        says(opened, "status", READY)
        yield opened


def relist(folder: Path) -> None:
    """Let the manifest list the artifacts as they are now, for faults that hashes would catch."""
    manifest = json.loads((folder / MANIFEST).read_text())
    for row in manifest["artifacts"]:
        row["sha256"] = sha256_file(folder / row["artifact"])
    (folder / MANIFEST).write_text(json.dumps(manifest))
