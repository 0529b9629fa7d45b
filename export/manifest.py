"""The manifest: what an export wrote, from what, and the hashes that tell if any of it changed."""

import hashlib
import os
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from lesionlite.documents import as_record, read_json
from lesionlite.errors import LesionliteError
from lesionlite.export.formats import format_by_suffix, format_of
from lesionlite.files import inside, need_folder, sha256_file, write_json

MANIFEST, CALIBRATION, GOLDEN = "manifest.json", "calibration.txt", "golden"
LINKS = 40  # that one file may lie behind, as Linux counts
AGAIN = "make the artifacts again with `lesionlite export`"


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

    def write(self, folder: Path, ours: bool = False) -> None:
        """Write `folder`/manifest.json, all or nothing; `ours` as in `files.replacing`."""
        write_json(folder / MANIFEST, asdict(self), ours)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest of a folder.

        Raises:
            LesionliteError: no folder, no manifest in it, or one that is damaged.
        """
        need_folder(folder)
        found = find_manifest(folder)
        if found is None:
            raise LesionliteError(
                f"{folder} has no {MANIFEST}: nothing was exported into it; {AGAIN}"
            )
        return found


# What tells an export's manifest.json from another tool's, even if half of it is damaged.
_OURS = {field.name for field in fields(Manifest)} - {"model"}


def find_manifest(folder: Path) -> Manifest | None:
    """The manifest in a folder; None if there is none, or only another tool's.

    Raises:
        LesionliteError: one is there that cannot be read, or names what is no plain file name.
    """
    path = folder / MANIFEST
    if not os.path.lexists(path):
        return None
    document = read_json(path)
    if isinstance(document, dict) and document and not document.keys() & _OURS:
        return None  # a web app's, say
    manifest = as_record(document, Manifest, str(path), advice=AGAIN)
    seen: set[str] = set()
    for row in manifest.artifacts:
        inside(folder, row.artifact, path)
        if row.artifact in seen:
            raise LesionliteError(f"{path} lists {row.artifact} twice; {AGAIN}")
        seen.add(row.artifact)
    return manifest


def sha256_text(text: str) -> str:
    """SHA-256 of a text file with these contents, as hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(folder: Path) -> list[Artifact]:
    """The artifacts in `folder`, or the one artifact if the path is one.

    Raises:
        LesionliteError: if there is no folder or nothing was exported into it.
    """
    if format_by_suffix(folder) is not None:
        format_of(folder)
        listed = find_row(folder)
        if listed is None:
            raise LesionliteError(f"{folder.parent} has no {MANIFEST} that lists {folder.name}")
        return [listed]
    rows = list(Manifest.read(folder).artifacts)
    if not rows:
        raise LesionliteError(f"{folder / MANIFEST} lists no artifacts; {AGAIN}")
    return rows


def find_row(path: Path) -> Artifact | None:
    """The row for an artifact in the manifest beside it, or None where nothing lists it.

    Raises:
        LesionliteError: a manifest is there that cannot be read.
    """
    manifest = find_manifest(path.parent)
    rows = manifest.artifacts if manifest else ()
    return next((row for row in rows if row.artifact == path.name), None)


def refuse_changed(path: Path) -> None:
    """Refuse an artifact that is not the one its manifest lists.

    Beside a link lies one manifest, beside what it leads to perhaps another; both are asked.
    Without any (an app that carries the file alone) there is nothing to hold it against, and it is
    accepted; `vouching` says so.

    Raises:
        LesionliteError: a manifest that cannot be read or does not list it, or another SHA-256.
    """
    if format_by_suffix(path) is None or not path.exists():
        return
    rows = list(_rows_of(path))
    found = sha256_file(path) if rows else ""
    for place, row in rows:
        if found != row.sha256:
            raise LesionliteError(
                f"{path} is not the file that {place / MANIFEST} lists: its SHA-256 is "
                f"{found[:12]}…, not {row.sha256[:12]}…; export it again, or see what else changed "
                f"with `lesionlite verify {place}`"
            )
    if not rows:
        _refuse_damaged_zip(path)
    foreign = [place for place in _places_of(path) if find_manifest(place.parent)]
    if foreign and not rows:
        raise LesionliteError(
            f"{foreign[0].parent / MANIFEST} does not list {foreign[0].name}: the file was renamed "
            f"or added, or the manifest changed; {AGAIN}, or move the file into a folder of its own"
        )


def vouching(path: Path) -> str:
    """A sentence for users where nothing says that an artifact is as it was made; "" where it is.

    Raises:
        LesionliteError: a manifest is there that cannot be read.
    """
    if format_by_suffix(path) is None or any(True for _ in _rows_of(path)):
        return ""
    return (
        f"Nothing vouches for {path}: no {MANIFEST} of an export lies beside it, so a change of "
        "its bytes would not be noticed."
    )


def _refuse_damaged_zip(path: Path) -> None:
    """Formats that are a ZIP, or end with one, hold checksums of their own."""
    if not (path.is_file() and zipfile.is_zipfile(path)):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()
    except (OSError, ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise LesionliteError(f"{path} is damaged ({error}); export it again") from error
    if wrong is not None:
        raise LesionliteError(
            f"{path} is damaged: {wrong} in it does not have its checksum; export it again"
        )


def _rows_of(path: Path) -> Iterator[tuple[Path, Artifact]]:
    """The folders of the manifests that list an artifact, and their rows."""
    for place in _places_of(path):
        row = find_row(place)
        if row is not None:
            yield place.parent, row


def _places_of(path: Path) -> list[Path]:
    """The path, and every one that it leads to as a link."""
    places = [path]
    while places[-1].is_symlink() and len(places) < LINKS:
        places.append(places[-1].parent / os.readlink(places[-1]))
    return places
