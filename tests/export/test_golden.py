"""Golden vectors: each file's own answers, which an app that feeds it wrongly does not get."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lesionlite
from lesionlite.export.execute.golden import ANSWERS, add_golden, draw_golden
from lesionlite.export.manifest import GOLDEN, MANIFEST, Manifest, read_manifest
from lesionlite.export.verify import verify

ONNX = "mobilevitv2_050-fp32.onnx"


@pytest.fixture(scope="module")
def golden(artifacts: Path) -> Any:
    return json.loads((artifacts / GOLDEN / ANSWERS).read_text())


def pixels(artifacts: Path, golden: Any) -> np.ndarray:
    folder = artifacts / GOLDEN
    return np.stack([np.asarray(Image.open(folder / name)) for name in golden["images"]])


def test_every_artifact_has_its_own(artifacts: Path, golden: Any) -> None:
    rows = read_manifest(artifacts)
    assert list(golden["artifacts"]) == [row.artifact for row in rows]
    for row in rows:
        entry = golden["artifacts"][row.artifact]
        assert entry["sha256"] == row.sha256 and entry["runtime"]
        assert np.shape(entry["probabilities"]) == (8, len(golden["labels"]))
        assert entry["tolerance"] == (0.1 if row.precision == "w8a8" else 0.02)


def test_the_images_are_drawn_at_the_contracts_side(artifacts: Path, golden: Any) -> None:
    images = pixels(artifacts, golden)
    np.testing.assert_array_equal(images, draw_golden(64))
    assert len({image.tobytes() for image in images}) == 8


def test_an_app_that_feeds_them_rightly_passes_and_others_fail(
    artifacts: Path, golden: Any
) -> None:
    images, entry = pixels(artifacts, golden), golden["artifacts"][ONNX]
    predictor = lesionlite.load(artifacts / ONNX)

    def off(fed: np.ndarray) -> float:
        return float(np.abs(predictor.predict(fed) - entry["probabilities"]).max())

    assert off(images) < 1e-5
    with_alpha = np.pad(images, ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=255)
    wrong = {
        "blue first": images[..., ::-1],
        "0 to 1 instead of 0 to 255": images // 255,
        "four bytes a pixel read as three": with_alpha.reshape(8, -1)[:, : images[0].size],
    }
    for fault, fed in wrong.items():
        fed = np.ascontiguousarray(fed).reshape(images.shape)
        assert off(fed) > entry["tolerance"], fault


def test_they_are_in_the_manifest(artifacts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    shutil.copytree(artifacts, folder)
    assert verify(folder).passed
    (folder / GOLDEN / "0.png").write_bytes(b"")
    assert {c.file for c in verify(folder).checks if c.status != "ok"} == {GOLDEN}
    shutil.rmtree(folder / GOLDEN)
    assert [c.status for c in verify(folder).checks if c.file == GOLDEN] == ["missing"]


def test_what_cannot_be_asked_is_said(artifacts: Path, tmp_path: Path) -> None:
    for name in (ONNX, MANIFEST):
        shutil.copy(artifacts / name, tmp_path)
    manifest = Manifest.read(tmp_path)
    good = next(row for row in manifest.artifacts if row.artifact == ONNX)
    damaged = replace(good, artifact="damaged.onnx")
    replace(manifest, artifacts=(good, damaged)).write(tmp_path, ours=True)
    (tmp_path / "damaged.onnx").write_bytes(b"no model")
    add_golden(tmp_path)
    document = json.loads((tmp_path / GOLDEN / ANSWERS).read_text())
    assert "damaged" in document["artifacts"]["damaged.onnx"]["reason"]
    assert "probabilities" in document["artifacts"][ONNX]
