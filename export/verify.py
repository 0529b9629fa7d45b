"""Compare a folder of artifacts with its manifest, to find missing, changed and unlisted files."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lesionlite.errors import LesionliteError
from lesionlite.export.execute.vectors import read_golden
from lesionlite.export.formats import contract_text
from lesionlite.export.manifest import (
    CALIBRATION,
    COMPILED,
    GOLDEN,
    MANIFEST,
    Manifest,
    sha256_text,
)
from lesionlite.export.quantize.plan import PLAN_FIGURE
from lesionlite.files import sha256_file
from lesionlite.layout import CONTRACT
from lesionlite.verdicts import PEERS_FOLDER, PEERS_JSON, PEERS_MD, REPORTS, TARGETS_JSON

# Files beside the artifacts that `benchmark`, `peers` and `export` (the figure of the plan) write.
NOT_LISTED = (*REPORTS, PEERS_JSON, PEERS_MD, PEERS_FOLDER, PLAN_FIGURE, TARGETS_JSON)
AGAIN = "export again"


@dataclass(frozen=True)
class Check:
    """The result for one file.

    Attributes:
        file: name of the file in the folder.
        status: ok, missing, changed, damaged, contract (the file holds another contract than the
            manifest lists) or unlisted.
        reason: what is wrong and what to do; empty if the file is ok.
    """

    file: str
    status: str
    reason: str = ""

    def line(self) -> str:
        """The result as one line for users."""
        return f"{self.file}: {self.status}" + (f", {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class Verification:
    """All checks of one folder."""

    folder: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every file is as the manifest says."""
        return all(check.status == "ok" for check in self.checks)


def verify(folder: Path) -> Verification:
    """Check every file in a folder of artifacts against its manifest.

    Raises:
        LesionliteError: there is no folder, or its manifest is missing or damaged.
    """
    manifest = Manifest.read(folder)
    checks = [
        _check_model(folder / row.artifact, row.sha256, manifest.contract_sha256)
        for row in manifest.artifacts
    ]
    checks.append(_check_file(folder / CONTRACT, manifest.contract_sha256))
    if manifest.calibration_sha256 is not None:
        checks.append(_check_file(folder / CALIBRATION, manifest.calibration_sha256))
    if manifest.golden_sha256 is not None:
        checks.append(_check_golden(folder / GOLDEN, manifest.golden_sha256))
    listed = {check.file for check in checks} | {MANIFEST, *NOT_LISTED}
    if manifest.compiled:
        checks += _check_compiled(folder, manifest)
        listed.add(COMPILED)
    rest = sorted(
        path
        for path in folder.iterdir()
        if path.name not in listed and not path.name.startswith(".")
    )
    checks += _check_plans_and_rest(manifest, rest)
    return Verification(str(folder), tuple(checks))


def _check_compiled(folder: Path, manifest: Manifest) -> Iterator[Check]:
    """Check the files that were compiled, and find others in their folder."""
    place = folder / COMPILED
    names = {row.file for row in manifest.compiled}
    checks = [
        _check_model(place / row.file, row.sha256, manifest.contract_sha256)
        for row in manifest.compiled
    ]
    others = place.iterdir() if place.is_dir() else ()
    checks += [
        Check(path.name, "unlisted", f"{MANIFEST} does not list it; remove it, or compile again")
        for path in sorted(others)
        if path.name not in names
    ]
    return (replace(check, file=f"{COMPILED}/{check.file}") for check in checks)


def _check_model(path: Path, sha256: str, contract_sha256: str) -> Check:
    check = _check_file(path, sha256)
    if check.status != "ok":
        return check
    try:
        inside = sha256_text(contract_text(path))
    except LesionliteError as error:
        return Check(path.name, "contract", f"it cannot be read ({error}); {AGAIN}")
    if inside != contract_sha256:
        reason = f"the file holds another contract than {MANIFEST} says; {AGAIN}"
        return Check(path.name, "contract", reason)
    return check


def _check_file(path: Path, sha256: str) -> Check:
    if not path.exists():
        return Check(path.name, "missing", f"{MANIFEST} lists it; {AGAIN}, or copy it back")
    found = sha256_file(path)
    if found != sha256:
        reason = f"its SHA-256 is {found[:12]}…, not {sha256[:12]}…; {AGAIN}, or copy it back"
        return Check(path.name, "changed", reason)
    return Check(path.name, "ok")


def _check_golden(path: Path, sha256: str) -> Check:
    check = _check_file(path, sha256)
    if check.status != "ok":
        return check
    try:
        read_golden(path)
    except LesionliteError as error:
        return Check(path.name, "damaged", f"{error}; {AGAIN}")
    return check


def _check_plans_and_rest(manifest: Manifest, rest: list[Path]) -> Iterator[Check]:
    """Check the quantization plans, which the manifest lists by hash only, and unlisted files."""
    plans = {row.plan for row in manifest.artifacts if row.plan is not None}
    hashes = {path: sha256_file(path) for path in rest}
    for path, found in hashes.items():
        if found in plans:
            yield Check(path.name, "ok")
        else:
            reason = f"{MANIFEST} does not list it; remove it, or {AGAIN} into an empty folder"
            yield Check(path.name, "unlisted", reason)
    for plan in sorted(plans - set(hashes.values())):
        reason = f"no file here has SHA-256 {plan[:12]}…; {AGAIN}, or copy it back"
        yield Check("quantization plan", "missing", reason)
