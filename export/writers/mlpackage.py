"""Find the model in a Core ML package, and make the package's bytes reproducible."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from lesionlite.documents import read_json, read_record
from lesionlite.errors import LesionliteError
from lesionlite.export.format import import_coremltools
from lesionlite.files import below

MODEL = Path("Data/com.apple.CoreML/model.mlmodel")
DEBUG = "executorch_debug_handle_mapping.json"  # 0.4 MB that only a debugger of ExecuTorch reads
DATE = "com.github.apple.coremltools.conversion_date"


@dataclass(frozen=True)
class _Item:
    path: str


@dataclass(frozen=True)
class _Manifest:
    itemInfoEntries: dict[str, _Item]  # noqa: N815  # Core ML's own names
    rootModelIdentifier: str  # noqa: N815

    def __post_init__(self) -> None:
        if self.rootModelIdentifier not in self.itemInfoEntries:
            raise LesionliteError("rootModelIdentifier names none of itemInfoEntries")


def model_file(package: Path) -> Path:
    """The model file of a package, as named in its Manifest.json.

    Raises:
        LesionliteError: the package is missing or damaged, or its model lies outside of it.
    """
    file = package / "Manifest.json"
    manifest = read_record(file, _Manifest, extra=True, advice="it is no Core ML package")
    places = {
        name: below(package / "Data", item.path, file)
        for name, item in manifest.itemInfoEntries.items()
    }
    return places[manifest.rootModelIdentifier]


def make_reproducible(package: Path) -> None:
    """Make the bytes of a package the same for each export of the same network.

    coremltools writes the date, random identifiers, and map entries in random order. This function
    removes the date, sorts the entries, and derives each identifier from its item's path, because
    an identifier need only be unique inside the package. It also removes debugging information.

    Args:
        package: a `.mlpackage` folder that coremltools wrote.
    """
    (package / DEBUG).unlink(missing_ok=True)
    spec = import_coremltools(".proto.Model_pb2").Model()
    spec.ParseFromString((package / MODEL).read_bytes())
    spec.description.metadata.userDefined.pop(DATE, None)
    (package / MODEL).write_bytes(spec.SerializeToString(deterministic=True))
    file = package / "Manifest.json"
    manifest: dict[str, Any] = read_json(file)
    entries = manifest["itemInfoEntries"]
    names = {old: str(uuid5(NAMESPACE_URL, entry["path"])) for old, entry in entries.items()}
    manifest["itemInfoEntries"] = {names[old]: entry for old, entry in entries.items()}
    manifest["rootModelIdentifier"] = names[manifest["rootModelIdentifier"]]
    # Formatted as coremltools does, because it rewrites this file whenever it opens a package.
    file.write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n", encoding="utf-8")
