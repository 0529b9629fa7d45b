"""The content of provenance.json: which lesionlite and which run made the model of an app."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lesionlite.documents import as_record, read_json
from lesionlite.errors import LesionliteError
from lesionlite.export.manifest import Artifact, Manifest
from lesionlite.version import own_version

PROVENANCE = "provenance.json"


@dataclass(frozen=True)
class Provenance:
    """Where the model of an app comes from. It has no dates, so the same app is the same bytes.

    Attributes:
        lesionlite: version of lesionlite that filled the app.
        model: timm's name of the network.
        checkpoint_sha256: SHA-256 of the run's weights.
        contract_sha256: SHA-256 of contract.json.
        toolchains: versions of the toolchains that wrote the artifacts.
        artifacts: the artifacts in the app.
    """

    lesionlite: str
    model: str
    checkpoint_sha256: str
    contract_sha256: str
    toolchains: dict[str, str]
    artifacts: tuple[Artifact, ...]

    @classmethod
    def of(cls, folder: Path, chosen: Sequence[Artifact]) -> "Provenance":
        """That of artifacts chosen from a folder that `lesionlite export` wrote."""
        told = Manifest.read(folder)
        return cls(
            own_version(),
            told.model,
            told.checkpoint_sha256,
            told.contract_sha256,
            told.toolchains,
            tuple(chosen),
        )

    def to_json(self) -> str:
        """The JSON document, without a line break at its end."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)


def is_ours(path: Path) -> bool:
    """Whether a file is a provenance that lesionlite wrote, and no file of the developer."""
    try:
        as_record(read_json(path), Provenance, str(path))
    except LesionliteError:
        return False
    return True
