"""The manifest: the files that an export wrote, their sources, and their hashes."""

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
COMPILED = "compiled"  # folder
LINKS = 40  # Linux follows this many symbolic links to one file
AGAIN = "make the artifacts again with `lesionlite export`"


@dataclass(frozen=True)
class Artifact:
    """One row of the manifest.

    Attributes:
        artifact: name of the file, or of the folder for a format that is a folder.
        format: a name in `FORMATS`.
        precision: a name in `PRECISIONS`.
        sha256: SHA-256 of the file, or of a folder's file names and files in order.
        size_bytes: size of the file, or of all files of a folder.
        plan: SHA-256 of the quantization plan that it follows, or None.
    """

    artifact: str
    format: str
    precision: str
    sha256: str
    size_bytes: int
    plan: str | None = None


@dataclass(frozen=True)
class Compiled:
    """A file of the folder compiled/: an artifact, compiled for one processor.

    Attributes:
        file: its name.
        artifact: the artifact that was compiled.
        target: the processor, such as sm8650.
        compiler: name and version of what compiled it.
        sha256: SHA-256 of the file.
        size_bytes: its size.
    """

    file: str
    artifact: str
    target: str
    compiler: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Manifest:
    """The content of `manifest.json`. It has no dates, so the same export gives the same bytes.

    Attributes:
        model: timm's name of the network.
        checkpoint_sha256: SHA-256 of the run's weights.
        contract_sha256: SHA-256 of contract.json, whose text every artifact holds.
        calibration_sha256: SHA-256 of calibration.txt, or None if no precision was calibrated.
        calibration_images: number of images that calibration.txt lists.
        toolchains: versions of the toolchains by package.
        artifacts: one row for each artifact.
        golden_sha256: SHA-256 of the folder golden/, or None if there is none.
        compiled: one row for each file that `lesionlite compile` wrote.
    """

    model: str
    checkpoint_sha256: str
    contract_sha256: str
    calibration_sha256: str | None
    calibration_images: int
    toolchains: dict[str, str]
    artifacts: tuple[Artifact, ...]
    golden_sha256: str | None = None
    compiled: tuple[Compiled, ...] = ()

    def write(self, folder: Path, ours: bool = False) -> None:
        """Write manifest.json into a folder in one step; `ours` is that of `files.replacing`."""
        write_json(folder / MANIFEST, asdict(self), ours)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest of a folder.

        Raises:
            LesionliteError: there is no folder or no manifest in it, or the manifest is damaged.
        """
        need_folder(folder)
        found = find_manifest(folder)
        if found is None:
            raise LesionliteError(
                f"{folder} has no {MANIFEST}: nothing was exported into it; {AGAIN}"
            )
        return found


# A manifest.json with one of these fields is ours, even if damaged; else another tool's.
_OURS = {field.name for field in fields(Manifest)} - {"model"}


def find_manifest(folder: Path) -> Manifest | None:
    """The manifest in a folder; None if there is none, or if it is another tool's.

    Raises:
        LesionliteError: the manifest cannot be read, or names a path instead of a file.
    """
    path = folder / MANIFEST
    if not os.path.lexists(path):
        return None
    document = read_json(path)
    if isinstance(document, dict) and document and not document.keys() & _OURS:
        return None  # for example a web app's
    manifest = as_record(document, Manifest, str(path), advice=AGAIN)
    seen: set[str] = set()
    for row in manifest.artifacts:
        inside(folder, row.artifact, path)
        if row.artifact in seen:
            raise LesionliteError(f"{path} lists {row.artifact} twice; {AGAIN}")
        seen.add(row.artifact)
    for compiled in manifest.compiled:
        inside(folder / COMPILED, compiled.file, path)
    return manifest


def sha256_text(text: str) -> str:
    """SHA-256, in hexadecimal, of a text file with this content."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(folder: Path) -> list[Artifact]:
    """The manifest's rows for a folder of artifacts; for an artifact, its own row.

    Raises:
        LesionliteError: there is no folder, or no manifest that lists the artifact or any.
    """
    if format_by_suffix(folder) is not None:
        format_of(folder)
        listed = find_row(folder)
        if listed is None:
            _refuse_compiled(folder)
            raise LesionliteError(f"{folder.parent} has no {MANIFEST} that lists {folder.name}")
        return [listed]
    rows = list(Manifest.read(folder).artifacts)
    if not rows:
        raise LesionliteError(f"{folder / MANIFEST} lists no artifacts; {AGAIN}")
    return rows


def find_row(path: Path) -> Artifact | None:
    """The row of an artifact in the manifest beside it, or None if no manifest lists it.

    Raises:
        LesionliteError: the manifest cannot be read.
    """
    manifest = find_manifest(path.parent)
    rows = manifest.artifacts if manifest else ()
    return next((row for row in rows if row.artifact == path.name), None)


def find_compiled(artifact: Path, target: str) -> tuple[Path, Compiled] | None:
    """The file that was compiled from an artifact for a target, with its row; None without.

    Raises:
        LesionliteError: the manifest cannot be read.
    """
    manifest = find_manifest(artifact.parent)
    for row in manifest.compiled if manifest else ():
        if (row.artifact, row.target) == (artifact.name, target):
            return artifact.parent / COMPILED / row.file, row
    return None


def refuse_changed(path: Path) -> None:
    """Refuse an artifact that differs from its manifest.

    For a symbolic link, this checks the manifests beside the link and beside its target. It accepts
    a file without a manifest, such as one inside an app; `missing_manifest_warning` warns of that.

    Raises:
        LesionliteError: the manifest cannot be read, does not list the file, or lists another
            SHA-256; the file is a damaged ZIP archive, or compiled for a phone.
    """
    if format_by_suffix(path) is None or not path.exists():
        return
    _refuse_compiled(path)
    rows = list(_listings(path))
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
    foreign = [place for place in _link_chain(path) if find_manifest(place.parent)]
    if foreign and not rows:
        raise LesionliteError(
            f"{foreign[0].parent / MANIFEST} does not list {foreign[0].name}: the file was renamed "
            f"or added, or the manifest changed; {AGAIN}, or move the file into a folder of its own"
        )


def _refuse_compiled(path: Path) -> None:
    """Refuse a file of `lesionlite compile`, which only a phone can execute."""
    folder = path.parent.parent
    manifest = find_manifest(folder) if path.parent.name == COMPILED else None
    for row in manifest.compiled if manifest else ():
        if row.file == path.name:
            raise LesionliteError(
                f"{path} is compiled for phones with {row.target}; name {folder / row.artifact}, "
                f"with --npu {row.target} of `lesionlite benchmark` to emulate the phone's NPU"
            )


def missing_manifest_warning(path: Path) -> str:
    """A warning about an artifact that no manifest lists; "" if one lists it.

    Raises:
        LesionliteError: the manifest cannot be read.
    """
    if format_by_suffix(path) is None or any(True for _ in _listings(path)):
        return ""
    return (
        f"Nothing vouches for {path}: no {MANIFEST} of an export lies beside it, so a change of "
        "its bytes would not be noticed."
    )


def _refuse_damaged_zip(path: Path) -> None:
    """Check the checksums inside a file that is a ZIP archive, or ends with one."""
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


def _listings(path: Path) -> Iterator[tuple[Path, Artifact]]:
    """For each manifest that lists an artifact: its folder and the artifact's row."""
    for place in _link_chain(path):
        row = find_row(place)
        if row is not None:
            yield place.parent, row


def _link_chain(path: Path) -> list[Path]:
    """The path, and the paths that it leads to by symbolic links."""
    places = [path]
    while places[-1].is_symlink() and len(places) < LINKS:
        places.append(places[-1].parent / os.readlink(places[-1]))
    return places
