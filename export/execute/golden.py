"""Golden vectors: drawn images, and each artifact's probabilities for them, for tests of apps.

They lie in `golden/` beside the artifacts. An app that decodes an image and passes it to the file
correctly gets the same probabilities. A wrong channel order, scale or layout gives others.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from lesionlite.console import say, track
from lesionlite.errors import LesionliteError
from lesionlite.export.config import ExportConfig
from lesionlite.export.execute.predictor import open_unchecked
from lesionlite.export.execute.vectors import ANSWERS, Answers, Golden
from lesionlite.export.formats import read_contract
from lesionlite.export.manifest import GOLDEN, Artifact, Manifest
from lesionlite.export.precision import PRECISIONS
from lesionlite.export.run import export
from lesionlite.files import replacing, sha256_file, write_json
from lesionlite.outputs import writing_into
from lesionlite.train.data.images import Pixels

IMAGES, THREADS = 8, 2
HOW_TO = (
    "Feed each image as it is, without resizing. The file with this SHA-256 should answer with "
    "these probabilities, in the order of the labels; other processors round differently, but no "
    "probability should be off by more than the tolerance."
)


def export_with_golden(
    run: Path, out: Path, config: ExportConfig, data: Path | None = None
) -> list[Artifact]:
    """Write the selected artifacts as `export` does, and golden vectors beside them."""
    with writing_into(out, RUN=run, DATA=data):
        made = export(run, out, config, data)
        add_golden(out)
    return made


def add_golden(folder: Path) -> None:
    """Execute every artifact of a folder on the drawn images, and add golden/ to the manifest.

    Args:
        folder: a folder that `export` wrote.

    Raises:
        LesionliteError: there is no folder, or no manifest in it.
    """
    manifest = Manifest.read(folder)
    rows = manifest.artifacts
    with writing_into(folder), replacing(folder / GOLDEN) as temporary:
        temporary.mkdir()
        answers: dict[str, Answers] = {}
        contract = read_contract(folder / rows[0].artifact)
        images = draw_golden(contract.side)
        names = [f"{index}.png" for index in range(len(images))]
        for name, image in zip(names, images, strict=True):
            _save_png(temporary / name, image)
        for row in track(rows, "golden vectors", len(rows)):
            answers[row.artifact] = _answers(folder, row, images)
        golden = Golden(HOW_TO, contract.labels, tuple(names), answers)
        write_json(temporary / ANSWERS, golden.document())
    with writing_into(folder):
        replace(manifest, golden_sha256=sha256_file(folder / GOLDEN)).write(folder, ours=True)


def draw_golden(side: int) -> Pixels:
    """The images, uint8 [8, side, side, 3]; every call draws the same ones.

    They are smooth random colours. They show nothing, so they suit a network of any kind of image.
    """
    generator = np.random.default_rng(0)
    return np.stack([_colours(generator, side) for _ in range(IMAGES)])


def _colours(generator: np.random.Generator, side: int) -> Pixels:
    """One image: random colours on a coarse mesh, and half as strong on each finer one."""
    from PIL import Image

    layers = [
        Image.fromarray(generator.integers(0, 256, (cells, cells, 3), np.uint8)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        for cells in (3, 6, 12)
    ]
    mixed = np.average([np.asarray(layer) for layer in layers], axis=0, weights=(4, 2, 1))
    return np.asarray(mixed.round(), np.uint8)


def _save_png(path: Path, image: Pixels) -> None:
    from PIL import Image

    Image.fromarray(image).save(path)


def _answers(folder: Path, row: Artifact, images: Pixels) -> Answers:
    """One artifact's probabilities, or why it cannot be executed here."""
    blank = Answers(row.sha256, PRECISIONS[row.precision].tolerance)
    try:
        predictor = open_unchecked(folder / row.artifact, THREADS)
        found = [
            predictor.predict_one(image, f"drawn image {at}") for at, image in enumerate(images)
        ]
    except LesionliteError as error:
        say(f"{row.artifact} has no golden vectors: {error}")
        return replace(blank, reason=str(error))
    rows = tuple(tuple(round(float(value), 6) for value in answer) for answer in found)
    return replace(blank, runtime=predictor.runtime, probabilities=rows)
