"""Golden vectors as a record: what golden.json holds, beside artifacts and in apps."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lesionlite.documents import read_record
from lesionlite.errors import LesionliteError
from lesionlite.export.formats import FORMATS
from lesionlite.files import inside

ANSWERS = "golden.json"


@dataclass(frozen=True)
class Answers:
    """What one artifact answers to the images, or why it could not be asked.

    Attributes:
        sha256: of the artifact.
        tolerance: how far a probability may be off on another processor.
        runtime: what was asked, with its version.
        probabilities: a row of every image, in the order of the labels.
        reason: why there are none.
    """

    sha256: str
    tolerance: float
    runtime: str = ""
    probabilities: tuple[tuple[float, ...], ...] | None = None
    reason: str = ""


@dataclass(frozen=True)
class Golden:
    """What golden.json holds.

    Attributes:
        how_to: what an app does with it.
        labels: of the classes.
        images: names of the files beside it.
        artifacts: the answers by name of the artifact.
    """

    how_to: str
    labels: tuple[str, ...]
    images: tuple[str, ...]
    artifacts: dict[str, Answers]

    def __post_init__(self) -> None:
        """Refuse answers that are not one row for each image, and images that are named twice.

        Raises:
            LesionliteError: naming the field.
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
        """As golden.json holds it: what is not known is left out."""
        whole = asdict(self)
        for name, entry in whole["artifacts"].items():
            whole["artifacts"][name] = {k: v for k, v in entry.items() if v not in (None, "")}
        return whole


def read_golden(folder: Path, advice: str = "") -> Golden:
    """The golden vectors in a folder; every name in them is a plain one.

    Args:
        folder: that golden.json and its images lie in.
        advice: what to do if they cannot be read.

    Raises:
        LesionliteError: no golden.json, one of another shape, or a name that leads elsewhere.
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
