"""Two small templates, and what fills them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lesionlite.mobile_app_stub.apps import App
from lesionlite.mobile_app_stub.embed import Embedded, embed

APPS = {
    "page": App(("tflite", "onnx"), ("fp16", "fp32"), "model", ""),
    "apple": App(("coreml",), ("fp32",), "App/Resources", ""),
}
Embed = Callable[..., Embedded]


@pytest.fixture
def folder(artifacts: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(artifacts, tmp_path / "artifacts"))


@pytest.fixture
def fill(folder: Path, tmp_path: Path) -> Embed:
    for name in APPS:
        (tmp_path / "templates" / name / "node_modules").mkdir(parents=True)
        (tmp_path / "templates" / name / "main").write_text(name)
    (tmp_path / "templates" / "cases.json").write_text("{}")

    def fill(name: str = "page", **settings: Any) -> Embedded:
        out = settings.pop("out", tmp_path / "app")
        templates = tmp_path / "templates"
        return embed(folder, name, out, apps=APPS, templates=templates, **settings)

    return fill
