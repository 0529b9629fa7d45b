"""The matrix of files and targets: every file is compiled for every target that takes its kind."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lesionlite.benchmark.candidate import Candidate, CandidateFailed
from lesionlite.benchmark.targets.table import TARGETS, Target, find_targets
from lesionlite.benchmark.targets.verdict import Verdict
from lesionlite.console import progress
from lesionlite.documents import as_record
from lesionlite.errors import LesionliteError, first_line
from lesionlite.export.format import named_function
from lesionlite.export.formats import artifact_folder
from lesionlite.export.manifest import read_manifest, refuse_changed
from lesionlite.files import write_json
from lesionlite.outputs import refuse_foreign, writing_into
from lesionlite.verdicts import TARGETS_JSON


@dataclass(frozen=True)
class Matrix:
    """The verdicts on some files, and the targets that must take them wholly."""

    verdicts: tuple[Verdict, ...]
    required: tuple[str, ...] = ()

    @property
    def failures(self) -> list[Verdict]:
        """The verdicts of required targets that are not `wholly`."""
        return [
            one for one in self.verdicts if one.target in self.required and one.outcome != "wholly"
        ]

    def document(self) -> dict[str, Any]:
        """The content of targets.json."""
        return {
            "passed": not self.failures,
            "required": list(self.required),
            "verdicts": [
                {**asdict(one), "title": TARGETS[one.target].title, "sentence": one.sentence()}
                for one in self.verdicts
            ],
        }


def judge_into(path: str, target: str, judge: str, out: str) -> None:
    """Judge a file, and write the verdict as JSON; a worker process executes this."""
    file = Path(path)
    try:
        verdict = named_function(judge)(file, target)
    except LesionliteError as error:  # a compiler or a runtime is missing
        verdict = Verdict(file.name, target, "unknown", reason=str(error))
    except Exception as error:  # each toolchain has its own exceptions
        verdict = Verdict(file.name, target, "refused", reason=first_line(error))
    write_json(Path(out), asdict(verdict))


def judge_all(artifacts: Path, targets: Sequence[str], required: Sequence[str] = ()) -> Matrix:
    """Judge a folder of artifacts, or one of them, for some targets.

    Args:
        artifacts: Folder that `export` wrote, or one artifact in it.
        targets: Keys of `TARGETS`.
        required: Those that must take every file of a kind that they can take.

    Raises:
        LesionliteError: There is no such target, no manifest, or no file that a required target can
            take; a file differs from its manifest; or what a required target takes cannot be told
            here.
    """
    rows = find_targets(dict.fromkeys([*targets, *required]))
    folder = artifact_folder(artifacts)
    files = [folder / row.artifact for row in read_manifest(artifacts)]
    for file in files:
        refuse_changed(file)
    pairs = [(file, row) for file in files for row in rows if file.suffix in row.judges]
    for name in required:
        if name not in {row.name for _, row in pairs}:
            kinds = ", ".join(TARGETS[name].judges)
            raise LesionliteError(
                f"--require {name}: {artifacts} holds no file of its kinds: {kinds}"
            )
    with TemporaryDirectory() as scratch, progress() as bar:
        task = bar.add_task("compiling", total=len(pairs), note="")
        verdicts = []
        for file, row in pairs:
            bar.update(task, note=f"{file.name} for {row.name}")
            verdicts.append(_judge(file, row, Path(scratch) / "verdict.json"))
            bar.advance(task)
    for one in verdicts:
        if one.target in required and one.outcome == "unknown":
            raise LesionliteError(f"--require {one.target} cannot be told: {one.reason}")
    return Matrix(tuple(verdicts), tuple(required))


def _judge(file: Path, row: Target, out: Path) -> Verdict:
    """The verdict of a process of its own, because compilers crash."""
    out.unlink(missing_ok=True)
    arguments = {"path": file, "target": row.name, "judge": row.judges[file.suffix], "out": out}
    try:
        with Candidate(file, 1) as worker:
            worker.call("lesionlite.benchmark.targets.matrix:judge_into", **arguments)
    except CandidateFailed as error:
        return Verdict(file.name, row.name, "refused", reason=f"the compiler crashed: {error}")
    return as_record(json.loads(out.read_text()), Verdict, str(out))


def write(matrix: Matrix, out: Path) -> None:
    """Write targets.json into a folder.

    Raises:
        LesionliteError: A file of the user has that name.
    """
    with writing_into(out):
        refuse_foreign(out / TARGETS_JSON)
        write_json(out / TARGETS_JSON, matrix.document())
