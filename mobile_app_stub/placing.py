"""Place artifacts in an app, or replace them in an app that a developer has edited."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.vectors import ANSWERS, Golden, read_golden
from lesionlite.export.manifest import GOLDEN, Artifact
from lesionlite.files import need_folder, replacing, sha256_file
from lesionlite.layout import CONTRACT
from lesionlite.mobile_app_stub.provenance import PROVENANCE, Provenance, is_ours
from lesionlite.outputs import remove


def place(
    assets: Path, folder: Path, chosen: Sequence[Artifact], contract: Contract, golden: Golden
) -> None:
    """Write artifacts, contract, golden vectors and where they come from into an app.

    No other file changes.

    Args:
        assets: folder in the app; it may hold files of the template or of the developer.
        folder: folder of the artifacts.
        chosen: the artifacts to place.
        contract: the contract in the artifacts.
        golden: golden vectors of the chosen artifacts.

    Raises:
        LesionliteError: a file of one of the names to write exists already.
    """
    (assets / GOLDEN).mkdir(parents=True, exist_ok=True)
    pairs = [(folder / row.artifact, assets / row.artifact) for row in chosen]
    pairs += [(folder / GOLDEN / name, assets / GOLDEN / name) for name in golden.images]
    texts = {
        assets / GOLDEN / ANSWERS: json.dumps(golden.document(), indent=1, ensure_ascii=False),
        assets / CONTRACT: contract.to_json().rstrip("\n"),
        assets / PROVENANCE: Provenance.of(folder, chosen).to_json(),
    }
    for target in (*(target for _, target in pairs), *texts):
        if os.path.lexists(target):
            raise LesionliteError(
                f"the app's {target.relative_to(assets)} is not one that lesionlite placed, but "
                "has the name of a file to write; rename it"
            )
    for source, target in pairs:
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    for target, text in texts.items():
        target.write_text(text + "\n", encoding="utf-8")


def refuse_no_app(out: Path, name: str, assets: str, cases: str) -> None:
    """Refuse a folder that `embed` did not make; `assets` and `cases` are paths in it.

    Raises:
        LesionliteError: the folder lacks files that an app of that name has; the error lists them.
    """
    need_folder(out, "no app to renew: ")
    needed = [cases, *(f"{assets}/{part}" for part in (CONTRACT, f"{GOLDEN}/{ANSWERS}"))]
    missing = [part for part in needed if not (out / part).is_file()]
    if missing:
        raise LesionliteError(
            f"no app to renew: {out} is no {name} app of lesionlite, because it has no "
            f"{', no '.join(missing)}; name the folder that `lesionlite embed --app {name}` made, "
            "or make one without --model-only"
        )
    for folder in (out / assets, out / assets / GOLDEN):
        if folder.resolve() != out.resolve() / folder.relative_to(out):
            raise LesionliteError(
                f"{folder} is a link or lies below one; put a folder in its place"
            )


def renew(
    assets: Path, folder: Path, chosen: Sequence[Artifact], contract: Contract, golden: Golden
) -> None:
    """Replace the files that `place` wrote before, all or nothing, and keep all other files.

    Raises:
        LesionliteError: as `place`, or an artifact was changed since it was placed.
    """
    placed = _placed(assets)
    with replacing(assets, ours=True) as temporary:
        shutil.copytree(assets, temporary, symlinks=True, copy_function=link_or_copy)
        for name in placed:
            remove(temporary / name)
        place(temporary, folder, chosen, contract, golden)


def _placed(assets: Path) -> list[str]:
    """The files that lesionlite placed, relative to the assets, according to golden.json."""
    old = read_golden(assets / GOLDEN, "repair it, or embed a new app")
    for name, answers in old.artifacts.items():
        path = assets / name
        if os.path.lexists(path) and sha256_file(path) != answers.sha256:
            raise LesionliteError(
                f"{path} would be replaced, but is not the file that lesionlite placed there: its "
                f"SHA-256 differs from that in {GOLDEN}/{ANSWERS}; move it away"
            )
    parts = [CONTRACT, *(f"{GOLDEN}/{name}" for name in (ANSWERS, *old.images))]
    if is_ours(assets / PROVENANCE):
        parts.append(PROVENANCE)
    return [*old.artifacts, *parts]


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Make a hard link to a file, or a copy if that is impossible. Symbolic links stay links."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
