"""Fill the template of a phone app with artifacts, their contract and their golden vectors."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.export.execute.vectors import Golden, read_golden
from lesionlite.export.formats import read_contract
from lesionlite.export.manifest import GOLDEN, Artifact, Manifest, refuse_changed
from lesionlite.files import replacing, sha256_file
from lesionlite.mobile_app_stub.apps import APPS, App
from lesionlite.mobile_app_stub.identity import (
    NO_IDENTITY,
    Identity,
    refuse_new_identity,
    remarks_on,
)
from lesionlite.mobile_app_stub.placing import place, refuse_no_app, renew
from lesionlite.outputs import refuse_overlap
from lesionlite.verdicts import REPORT_JSON, read_verdicts

TEMPLATES = Path(__file__).parent
CASES = "cases.json"  # beside the templates; the unit tests of each app's core read it
BUILT = ("node_modules", "site", "build", ".build", ".gradle", ".kotlin", ".idea")  # not copied


@dataclass(frozen=True)
class Embedded:
    """A filled app.

    Attributes:
        out: folder of the app.
        artifacts: the embedded artifacts.
        remarks: sentences for the developer.
    """

    out: Path
    artifacts: tuple[Artifact, ...]
    remarks: tuple[str, ...]


def embed(
    folder: Path,
    name: str,
    out: Path,
    precision: str | None = None,
    model_only: bool = False,
    identity: Identity = NO_IDENTITY,
    apps: Mapping[str, App] = APPS,
    templates: Path = TEMPLATES,
) -> Embedded:
    """Make an app folder from a template, all or nothing.

    Args:
        folder: folder that `lesionlite export` wrote.
        name: key of `apps`.
        out: the app's folder; it must not exist yet, unless `model_only`.
        precision: precision to embed, instead of the app's preference.
        model_only: replace only the artifacts, the contract and the golden vectors in `out`.
        identity: the app's own; an app that is there keeps its own.
        apps: the table of apps.
        templates: folder of the templates.

    Raises:
        LesionliteError: a file is missing or changed, an artifact did not pass the benchmark, the
            identity is not one that such an app can have, or `out` already exists; the error names
            it.
    """
    if name not in apps:
        raise unknown_choice("app", name, apps)
    app = apps[name]
    assets = out / app.assets
    if model_only:
        refuse_no_app(out, name, app.assets, CASES)
        refuse_new_identity(identity)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise LesionliteError(
            f"{out} already exists; choose another --out, or replace only its model with "
            "--model-only"
        )
    else:
        app.identity.refuse(name, identity)
    refuse_overlap(assets if model_only else out, ARTIFACTS=folder)
    chosen, remarks = _choose(folder, app, precision)
    contract = _contract(folder, chosen)
    golden = golden_of(folder, chosen)
    if model_only:
        renew(assets, folder, chosen, contract, golden)
    else:
        with replacing(out) as temporary:
            ignore = shutil.ignore_patterns(*BUILT)
            shutil.copytree(templates / name, temporary, ignore=ignore)
            shutil.copy(templates / CASES, temporary)
            app.identity.write(temporary, identity)
            place(temporary / app.assets, folder, chosen, contract, golden)
    return Embedded(out, tuple(chosen), (*remarks, *remarks_on(identity)))


def _choose(folder: Path, app: App, precision: str | None) -> tuple[list[Artifact], list[str]]:
    """Choose an artifact of each format, and explain the choice in remarks."""
    manifest = Manifest.read(folder)
    statuses = _statuses(folder, manifest)
    chosen, remarks = [], []
    for format_ in app.formats:
        rows = {row.precision: row for row in manifest.artifacts if row.format == format_}
        if precision is None:
            row = _preferred(folder, format_, app, rows, statuses)
            if row.precision != app.precisions[0]:
                remarks.append(
                    f"{app.precisions[0]} is preferred, but there is none of {format_} that can be "
                    f"embedded; took {row.artifact}"
                )
        else:
            row = _named(folder, format_, precision, rows, statuses)
            if row.artifact not in statuses:
                remarks.append(f"no report says whether {row.artifact} passes; {_ask(folder)}")
            elif statuses[row.artifact] != "pass":
                remarks.append(f"the report says {row.artifact} is {statuses[row.artifact]}")
        refuse_changed(folder / row.artifact)
        chosen.append(row)
    return chosen, remarks


def _named(
    folder: Path,
    format_: str,
    precision: str,
    rows: Mapping[str, Artifact],
    statuses: Mapping[str, str],
) -> Artifact:
    """The artifact of the given precision. It may be unverified, but must not have failed."""
    if precision not in rows:
        raise LesionliteError(
            f"{folder} holds no {format_} artifact of precision {precision!r}; choose from: "
            f"{', '.join(rows) or 'none: export ' + format_}"
        )
    row = rows[precision]
    if statuses.get(row.artifact) == "fail":
        raise LesionliteError(
            f"{row.artifact} did not pass the benchmark, so it is not embedded; choose "
            "another --precision"
        )
    return row


def _preferred(
    folder: Path, format_: str, app: App, rows: Mapping[str, Artifact], statuses: Mapping[str, str]
) -> Artifact:
    """The artifact of the first precision in the app's list that passed the benchmark."""
    suitable = [rows[precision] for precision in app.precisions if precision in rows]
    if not suitable:
        raise LesionliteError(
            f"{folder} holds no {format_} artifact that this app takes "
            f"({', '.join(app.precisions)}); make one with `lesionlite export --formats {format_}`"
        )
    for row in suitable:
        if statuses.get(row.artifact) == "pass":
            return row
    found = ", ".join(
        f"{row.artifact}: {statuses.get(row.artifact, 'no report')}" for row in suitable
    )
    raise LesionliteError(
        f"{folder} holds no {format_} artifact that passed the benchmark ({found}); "
        f"{_ask(folder)}, or name with --precision one that did not fail"
    )


def _ask(folder: Path) -> str:
    return f"run `lesionlite benchmark {folder} --run RUN --data DATA`"


def _statuses(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Status by artifact, from the benchmark's report, without files whose size has changed."""
    sizes = {row.artifact: row.size_bytes for row in manifest.artifacts}
    for path in (folder / REPORT_JSON, folder.parent / REPORT_JSON):
        if os.path.lexists(path):
            return {
                row.artifact: row.status
                for row in read_verdicts(path, advice=_ask(folder))
                if sizes.get(row.artifact) == row.size_bytes
            }
    return {}


def _contract(folder: Path, chosen: list[Artifact]) -> Contract:
    """The contract, which all chosen artifacts must share."""
    contracts = [read_contract(folder / row.artifact) for row in chosen]
    for row, contract in zip(chosen, contracts, strict=True):
        if contract != contracts[0]:
            raise LesionliteError(
                f"{row.artifact} and {chosen[0].artifact} hold different contracts; export both "
                "from one run"
            )
    return contracts[0]


def golden_of(folder: Path, chosen: Sequence[Artifact]) -> Golden:
    """The golden vectors of a folder of artifacts, with only the answers of the chosen ones.

    Raises:
        LesionliteError: the golden vectors are missing or changed, or lack a chosen artifact.
    """
    place = folder / GOLDEN
    again = "make them again with `lesionlite export`"
    if not place.is_dir() or Manifest.read(folder).golden_sha256 != sha256_file(place):
        raise LesionliteError(
            f"the golden vectors in {place} are missing, or not the ones that the manifest lists; "
            + again
        )
    golden = read_golden(place, again)
    kept = {}
    for row in chosen:
        entry = golden.artifacts.get(row.artifact)
        if entry is None or entry.probabilities is None:
            reason = (entry and entry.reason) or "it was not executed"
            raise LesionliteError(
                f"{row.artifact} has no golden vectors ({reason}), which an app needs to test "
                f"itself; {again}"
            )
        if entry.sha256 != row.sha256:
            raise LesionliteError(
                f"the golden vectors in {place} belong to another {row.artifact}; {again}"
            )
        kept[row.artifact] = entry
    return replace(golden, artifacts=kept)
