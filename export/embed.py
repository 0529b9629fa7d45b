"""Fill the template of a phone app with artifacts, their contract and their golden vectors."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.formats import read_contract
from export.manifest import GOLDEN, Artifact, Manifest, refuse_changed
from train.contract import Contract
from train.documents import read_json
from train.errors import LesionliteError, unknown_choice
from train.files import replacing, sha256_file

TEMPLATES = Path(__file__).parents[1] / "mobile_app_stub"
CASES = "cases.json"  # lies beside the templates; the unit tests of every app's core read it
BUILT = ("node_modules", "site", "build", ".build", ".gradle", ".kotlin", ".idea")  # never copied


@dataclass(frozen=True)
class App:
    """A row of the table of apps; its template is the folder of its name.

    Attributes:
        formats: as in `export.formats.FORMATS`; an artifact of each is embedded.
        precisions: which one is taken, the first that is there and did not fail.
        assets: where in the app the artifacts, the contract and the golden vectors lie.
        next: what to do with the filled folder, `{out}`.
    """

    formats: tuple[str, ...]
    precisions: tuple[str, ...]
    assets: str
    next: str


APPS = {
    # fp16 last: LiteRT.js 2.5.3 takes eight times as long for it as for fp32
    # (google-ai-edge/LiteRT#9663, open). It may come first once that is mended.
    "web": App(("tflite", "onnx"), ("w8", "fp32", "fp16"), "model", "lesionlite serve {out}"),
    "android": App(
        ("tflite",),
        ("w8a8", "fp16", "fp32"),
        "app/src/main/assets/model",
        "open {out} in Android Studio",
    ),
    "ios": App(
        ("coreml",),
        ("fp16", "fp32", "w8"),
        "LesionLite.swiftpm/App/Model",
        "open {out}/LesionLite.swiftpm in Xcode",
    ),
}


@dataclass(frozen=True)
class Embedded:
    """What was placed.

    Attributes:
        out: the app's folder.
        artifacts: the embedded ones.
        remarks: sentences that the developer should read.
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
    apps: Mapping[str, App] = APPS,
    templates: Path = TEMPLATES,
) -> Embedded:
    """Make an app folder from a template, all or nothing.

    Args:
        folder: what `lesionlite export` wrote.
        name: key of `apps`.
        out: the app's folder; must not be there yet, unless `model_only`.
        precision: instead of the app's own preference.
        model_only: change nothing in `out` but its artifacts, contract and golden vectors.
        apps: the table.
        templates: folder of the templates.

    Raises:
        LesionliteError: naming what is missing, changed, failed or in the way.
    """
    if name not in apps:
        raise unknown_choice("app", name, apps)
    app = apps[name]
    _refuse_place(out, model_only)
    chosen, remarks = _choose(folder, app, precision)
    contract = _contract(folder, chosen)
    golden = golden_of(folder, chosen)
    if model_only:
        with replacing(out / app.assets) as temporary:
            _place(temporary, folder, chosen, contract, golden)
    else:
        with replacing(out) as temporary:
            ignore = shutil.ignore_patterns(*BUILT)
            shutil.copytree(templates / name, temporary, ignore=ignore)
            shutil.copy(templates / CASES, temporary)
            _place(temporary / app.assets, folder, chosen, contract, golden)
    return Embedded(out, tuple(chosen), tuple(remarks))


def _refuse_place(out: Path, model_only: bool) -> None:
    """An app's developer edits it: a second `embed` must not undo that."""
    if model_only and not out.is_dir():
        raise LesionliteError(f"there is no app {out} to renew; leave --model-only out")
    if not model_only and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise LesionliteError(
            f"{out} is there already; choose another --out, or renew its model and nothing else "
            "with --model-only"
        )


def _choose(folder: Path, app: App, precision: str | None) -> tuple[list[Artifact], list[str]]:
    """An artifact of each format, and what must be said of the choice."""
    manifest, statuses = Manifest.read(folder), _statuses(folder)
    chosen, remarks = [], []
    for format_ in app.formats:
        rows = {row.precision: row for row in manifest.artifacts if row.format == format_}
        if precision is not None and precision in rows:
            row = rows[precision]
            if statuses.get(row.artifact) == "fail":
                raise LesionliteError(
                    f"{row.artifact} did not pass the benchmark, so it is not embedded; choose "
                    "another --precision"
                )
        elif precision is not None:
            raise LesionliteError(
                f"{folder} holds no {format_} artifact of precision {precision!r}; choose from: "
                f"{', '.join(rows) or 'none: export ' + format_}"
            )
        else:
            row = _preferred(folder, format_, app, rows, statuses)
            if row.precision != app.precisions[0]:
                remarks.append(
                    f"{app.precisions[0]} is preferred, but there is none of {format_} that can be "
                    f"embedded; took {row.artifact}"
                )
        refuse_changed(folder / row.artifact)
        if row.artifact not in statuses:
            remarks.append(
                f"no report says whether {row.artifact} passes; ask `lesionlite benchmark "
                f"{folder} --run RUN --data DATA`"
            )
        chosen.append(row)
    return chosen, remarks


def _preferred(
    folder: Path, format_: str, app: App, rows: Mapping[str, Artifact], statuses: Mapping[str, str]
) -> Artifact:
    for precision in app.precisions:
        if precision in rows and statuses.get(rows[precision].artifact) != "fail":
            return rows[precision]
    failed = any(statuses.get(row.artifact) == "fail" for row in rows.values())
    why = "none that passed the benchmark" if failed else "none"
    raise LesionliteError(
        f"{folder} holds no {format_} artifact to embed ({why}); make one with "
        f"`lesionlite export --formats {format_}`"
    )


def _statuses(folder: Path) -> dict[str, str]:
    """What the benchmark's report says of each artifact, where it speaks of these very files."""
    sizes = {row.artifact: row.size_bytes for row in Manifest.read(folder).artifacts}
    for path in (folder / "report.json", folder.parent / "report.json"):
        report = read_json(path)
        if isinstance(report, dict) and isinstance(report.get("rows"), list):
            return {
                row["artifact"]: row["status"]
                for row in report["rows"]
                if sizes.get(row["artifact"]) == row["size_bytes"]
            }
    return {}


def _contract(folder: Path, chosen: list[Artifact]) -> Contract:
    """The one that all of the artifacts carry."""
    contracts = [read_contract(folder / row.artifact) for row in chosen]
    for row, contract in zip(chosen, contracts, strict=True):
        if contract != contracts[0]:
            raise LesionliteError(
                f"{row.artifact} and {chosen[0].artifact} carry different contracts; export both "
                "from one run"
            )
    return contracts[0]


def golden_of(folder: Path, chosen: Sequence[Artifact]) -> dict[str, Any]:
    """What golden.json of a folder of artifacts says, with the answers of the chosen ones alone.

    Raises:
        LesionliteError: no golden vectors, changed ones, or none of a chosen artifact.
    """
    place = folder / GOLDEN
    again = "make them again with `lesionlite export`"
    if not place.is_dir() or Manifest.read(folder).golden_sha256 != sha256_file(place):
        raise LesionliteError(
            f"the golden vectors in {place} are missing, or not the ones that the manifest lists; "
            + again
        )
    document: dict[str, Any] = json.loads((place / "golden.json").read_text(encoding="utf-8"))
    for row in chosen:
        entry = document["artifacts"].get(row.artifact, {})
        if "probabilities" not in entry:
            reason = entry.get("reason", "it was never asked")
            raise LesionliteError(
                f"{row.artifact} has no golden vectors ({reason}), and an app checks itself with "
                f"them; {again}"
            )
    kept = {row.artifact: document["artifacts"][row.artifact] for row in chosen}
    return {**document, "artifacts": kept}


def _place(
    assets: Path, folder: Path, chosen: list[Artifact], contract: Contract, golden: dict[str, Any]
) -> None:
    """Write what an app reads; `assets` may hold files of the template."""
    (assets / GOLDEN).mkdir(parents=True)
    for row in chosen:
        source = folder / row.artifact
        if source.is_dir():
            shutil.copytree(source, assets / row.artifact)
        else:
            shutil.copy(source, assets / row.artifact)
    for image in golden["images"]:
        shutil.copy(folder / GOLDEN / image, assets / GOLDEN / image)
    text = json.dumps(golden, indent=1, ensure_ascii=False) + "\n"
    (assets / GOLDEN / "golden.json").write_text(text, encoding="utf-8")
    (assets / "contract.json").write_text(contract.to_json(), encoding="utf-8")
