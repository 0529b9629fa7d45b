"""A Core ML package whose bytes depend on nothing but its model."""

import json
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

MODEL = Path("Data/com.apple.CoreML/model.mlmodel")
DEBUG = "executorch_debug_handle_mapping.json"  # written for programs of torch.export; 0.4 MB


def pin(package: Path) -> None:
    """Rewrite what coremltools leaves to chance, item identifiers and the order of map entries.

    Remove what only a debugger of ExecuTorch reads.

    Identifiers are random UUIDs there; they need only be unique inside the package, so each is
    made from its item's path here.

    Args:
        package: a `.mlpackage` folder that coremltools wrote.
    """
    from coremltools.proto import Model_pb2

    (package / DEBUG).unlink(missing_ok=True)
    spec = Model_pb2.Model()
    spec.ParseFromString((package / MODEL).read_bytes())
    (package / MODEL).write_bytes(spec.SerializeToString(deterministic=True))
    file = package / "Manifest.json"
    manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    entries = manifest["itemInfoEntries"]
    names = {old: str(uuid5(NAMESPACE_URL, entry["path"])) for old, entry in entries.items()}
    manifest["itemInfoEntries"] = {names[old]: entry for old, entry in entries.items()}
    manifest["rootModelIdentifier"] = names[manifest["rootModelIdentifier"]]
    # In coremltools' own style, because it writes this file again whenever it opens a package.
    file.write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n", encoding="utf-8")
