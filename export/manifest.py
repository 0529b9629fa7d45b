"""The manifest: what an export wrote, from what, and the hashes that tell if any of it changed."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from export.formats import FORMATS, format_of
from train.documents import read_json
from train.errors import LesionliteError
from train.files import sha256_file, write_json

MANIFEST, CALIBRATION, GOLDEN = "manifest.json", "calibration.txt", "golden"


@dataclass(frozen=True)
class Artifact:
    """One row of the manifest.

    Attributes:
        artifact: name of the file (of the folder, for a Core ML package).
        format: as in `FORMATS`.
        precision: as in `PRECISIONS`.
        sha256: of the file, or of a package's files and their names in order.
        size_bytes: of the file, or the sum over a package's files.
        plan: SHA-256 of the quantization plan that it was made with, if any.
    """

    artifact: str
    format: str
    precision: str
    sha256: str
    size_bytes: int
    plan: str | None = None


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` holds. No dates: the same export gives the same bytes.

    Attributes:
        model: timm's name of the network.
        checkpoint_sha256: of the run's weights.
        contract_sha256: of contract.json, which is also inside every artifact.
        calibration_sha256: of calibration.txt, or None if no precision needed images.
        calibration_images: how many it lists.
        toolchains: version by package.
        artifacts: a row for every file.
        golden_sha256: of the folder golden/, or None if the artifacts were not asked.
    """

    model: str
    checkpoint_sha256: str
    contract_sha256: str
    calibration_sha256: str | None
    calibration_images: int
    toolchains: dict[str, str]
    artifacts: tuple[Artifact, ...]
    golden_sha256: str | None = None

    def write(self, folder: Path) -> None:
        """Write `folder`/manifest.json, all or nothing."""
        write_json(folder / MANIFEST, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest of a folder.

        Raises:
            LesionliteError: no folder, no manifest in it, or not one of this version's.
        """
        if not folder.is_dir():
            raise LesionliteError(f"there is no folder {folder}")
        path = folder / MANIFEST
        if not path.is_file():
            raise LesionliteError(
                f"{folder} has no {MANIFEST}: nothing was exported into it; "
                "make artifacts with `lesionlite export`"
            )
        document = read_json(path)
        try:
            return cls(**{**document, "artifacts": tuple(_strict_rows(document))})
        except (TypeError, KeyError) as error:
            raise LesionliteError(
                f"{path} is damaged or another version's ({error}); make the artifacts again with "
                "`lesionlite export`"
            ) from error


def sha256_text(text: str) -> str:
    """SHA-256 of a text file with these contents, as hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(folder: Path) -> list[Artifact]:
    """The artifacts in `folder`, or the one artifact if the path is one.

    Raises:
        LesionliteError: if there is no folder or nothing was exported into it.
    """
    if any(folder.suffix == row.suffix for row in FORMATS.values()):
        format_of(folder)
        listed = find_row(folder)
        if listed is None:
            raise LesionliteError(f"{folder.parent} has no {MANIFEST} that lists {folder.name}")
        return [listed]
    if not folder.is_dir():
        raise LesionliteError(f"there is no folder {folder}")
    rows = _rows(read_json(folder / MANIFEST))
    if not rows:
        raise LesionliteError(
            f"{folder} holds no exported artifacts ({MANIFEST} is missing or empty); "
            "make them with `lesionlite export`"
        )
    return rows


def find_row(path: Path) -> Artifact | None:
    """The row for an artifact in the manifest beside it, or None where nothing lists it."""
    rows = _rows(read_json(path.parent / MANIFEST))
    return next((row for row in rows if row.artifact == path.name), None)


def refuse_changed(path: Path) -> None:
    """Refuse an artifact that is not the one its manifest lists.

    Without a manifest beside it (an app that carries the file alone) there is nothing to hold it
    against, and it is accepted.

    Raises:
        LesionliteError: saying what differs and what to do.
    """
    row = find_row(path)
    if row is None or not path.exists():
        return
    found = sha256_file(path)
    if found != row.sha256:
        raise LesionliteError(
            f"{path} is not the file that {path.parent / MANIFEST} lists: its SHA-256 is "
            f"{found[:12]}…, not {row.sha256[:12]}…; export it again, or see what else changed "
            f"with `lesionlite verify {path.parent}`"
        )


def _rows(manifest: Any) -> list[Artifact]:
    """Lenient, because another tool's manifest.json may lie beside a copied artifact."""
    try:
        return _strict_rows(manifest)
    except (TypeError, KeyError):
        return []


def _strict_rows(manifest: Any) -> list[Artifact]:
    return [Artifact(**row) for row in manifest["artifacts"]]
