"""The content of golden.json, which lies beside artifacts and in apps."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.documents import read_record
from lesionlite.errors import LesionliteError
from lesionlite.export.formats import FORMATS
from lesionlite.export.manifest import GOLDEN
from lesionlite.files import inside
from lesionlite.train.data.images import Pixels

ANSWERS = "golden.json"


@dataclass(frozen=True)
class Answers:
    """One artifact's probabilities for the images, or why there are none.

    Attributes:
        sha256: SHA-256 of the artifact.
        tolerance: largest difference of a probability that another processor may give.
        runtime: name and version of what executed the artifact.
        probabilities: one row for each image, in the order of the labels; None if there are none.
        reason: why there are no probabilities; else "".
    """

    sha256: str
    tolerance: float
    runtime: str = ""
    probabilities: tuple[tuple[float, ...], ...] | None = None
    reason: str = ""


@dataclass(frozen=True)
class Golden:
    """The content of golden.json.

    Attributes:
        how_to: instructions for the developer of an app.
        labels: names of the classes.
        images: names of the image files beside golden.json.
        artifacts: answers by the artifact's name.
    """

    how_to: str
    labels: tuple[str, ...]
    images: tuple[str, ...]
    artifacts: dict[str, Answers]

    def __post_init__(self) -> None:
        """Refuse images named twice, and answers without one probability per image and label.

        Raises:
            LesionliteError: names the field.
        """
        if len(set(self.images)) != len(self.images):
            raise LesionliteError("images names a file twice")
        for name, answers in self.artifacts.items():
            rows = answers.probabilities
            if rows is None:
                continue
            if len(rows) != len(self.images) or {len(row) for row in rows} - {len(self.labels)}:
                raise LesionliteError(
                    f"artifacts.{name}.probabilities does not hold {len(self.labels)} numbers for "
                    f"each of the {len(self.images)} images"
                )

    def document(self) -> dict[str, Any]:
        """The JSON document, without empty fields."""
        whole = asdict(self)
        for name, entry in whole["artifacts"].items():
            whole["artifacts"][name] = {k: v for k, v in entry.items() if v not in (None, "")}
        return whole


def read_golden(folder: Path, advice: str = "") -> Golden:
    """Read golden.json, and check that it names files of its own folder only.

    Args:
        folder: holds golden.json and its images.
        advice: what the user can do if it cannot be read.

    Raises:
        LesionliteError: golden.json is missing or damaged, or names a file outside the folder.
    """
    path = folder / ANSWERS
    golden = read_record(path, Golden, advice=advice)
    for image in golden.images:
        if inside(folder, image, path).name == ANSWERS:
            raise LesionliteError(f"{path} names itself as an image")
    suffixes = [row.suffix for row in FORMATS.values()]
    for artifact in golden.artifacts:
        if inside(folder.parent, artifact, path).suffix not in suffixes:
            raise LesionliteError(
                f"{path} names {artifact!r}, which is no artifact; their suffixes are: "
                f"{', '.join(suffixes)}"
            )
    return golden


def golden_answers(artifact: Path) -> tuple[Pixels, NDArray[np.float32]] | None:
    """The golden images beside an artifact and its answers to them; None if there are none.

    Returns:
        The images, uint8 [N, S, S, 3], and probabilities [N, C].

    Raises:
        LesionliteError: as `read_golden`.
    """
    from PIL import Image

    folder = artifact.parent / GOLDEN
    if not (folder / ANSWERS).exists():
        return None
    golden = read_golden(folder)
    answers = golden.artifacts.get(artifact.name)
    if answers is None or answers.probabilities is None:
        return None
    images = np.stack([np.asarray(Image.open(folder / name)) for name in golden.images])
    return images, np.array(answers.probabilities, np.float32)
