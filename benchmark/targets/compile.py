"""What ships to phones whose NPU is known: artifacts that are compiled for it, in `compiled/`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lesionlite.benchmark.candidate import Candidate, CandidateFailed
from lesionlite.benchmark.targets.hexagon import refuse_no_npu
from lesionlite.benchmark.targets.table import TARGETS, Target, find_targets
from lesionlite.console import progress
from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.export.format import named_function
from lesionlite.export.formats import artifact_folder
from lesionlite.export.manifest import COMPILED, Compiled, Manifest, read_manifest, refuse_changed
from lesionlite.files import replacing, sha256_file, size_bytes
from lesionlite.outputs import refuse_foreign, writing_into

COMPILERS = tuple(name for name, row in TARGETS.items() if row.compilers)


@dataclass(frozen=True)
class Refusal:
    """A file that was not compiled for a target, and why."""

    artifact: str
    target: str
    reason: str


def compile_all(
    artifacts: Path, targets: Sequence[str]
) -> tuple[tuple[Compiled, ...], tuple[Refusal, ...]]:
    """Compile every file for every target that takes it wholly, and list the results.

    They lie in the folder compiled/ beside the artifacts, and the manifest lists them. Files that
    were compiled earlier, of the same artifact for the same target, are replaced.

    Args:
        artifacts: Folder that `export` wrote, or one artifact in it.
        targets: Keys of `TARGETS` that have compilers.

    Returns:
        The rows of the files that were written, and the files that were not.

    Raises:
        LesionliteError: There is no such target, no manifest, or no file that a target compiles; a
            file differs from its manifest; or a file of the user is in the way.
    """
    pairs = _pairs(artifacts, targets)
    folder = artifact_folder(artifacts)
    made, refusals = [], []
    with writing_into(folder), progress() as bar:
        task = bar.add_task("compiling", total=len(pairs), note="")
        for file, row in pairs:
            bar.update(task, note=f"{file.name} for {row.name}")
            try:
                made.append(_compile(file, row))
                _list(folder, made)  # each time, so that an interrupted command loses nothing
            except CandidateFailed as error:
                refusals.append(Refusal(file.name, row.name, str(error)))
            bar.advance(task)
        place = folder / COMPILED
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()
    return tuple(made), tuple(refusals)


def _pairs(artifacts: Path, targets: Sequence[str]) -> list[tuple[Path, Target]]:
    """The files and the targets to compile them for, after all checks."""
    if not targets:
        raise LesionliteError(f"name a target to compile for: {', '.join(COMPILERS)}")
    for name in targets:
        if name not in COMPILERS:
            raise unknown_choice("target to compile for", name, COMPILERS)
    refuse_no_npu()
    rows = find_targets(dict.fromkeys(targets))
    folder = artifact_folder(artifacts)
    files = [folder / row.artifact for row in read_manifest(artifacts)]
    pairs = [(file, row) for file in files for row in rows if file.suffix in row.compilers]
    if not pairs:
        kinds = ", ".join(dict.fromkeys(suffix for row in rows for suffix in row.compilers))
        raise LesionliteError(f"{artifacts} holds nothing to compile; these files can be: {kinds}")
    for file, row in pairs:
        refuse_changed(file)
        refuse_foreign(_place(file, row))
    return pairs


def _place(file: Path, row: Target) -> Path:
    return file.parent / COMPILED / f"{file.stem}-{row.name}{file.suffix}"


def _compile(file: Path, row: Target) -> Compiled:
    """Compile in a process of its own, because compilers crash."""
    place = _place(file, row)
    compiler = row.compilers[file.suffix]
    arguments = {"path": file, "target": row.name, "compiler": compiler.function}
    with replacing(place) as temporary, Candidate(file, 1) as worker:
        worker.call(f"{__name__}:compile_into", **arguments, out=temporary)
    facts = compiler.versions(), sha256_file(place), size_bytes(place)
    return Compiled(place.name, file.name, row.name, *facts)


def compile_into(path: str, target: str, compiler: str, out: str) -> None:
    """Compile a file; a worker process executes this."""
    named_function(compiler)(Path(path), target, Path(out))


def _list(folder: Path, made: Sequence[Compiled]) -> None:
    """List the files that were compiled in the manifest, with those of earlier calls."""
    manifest = Manifest.read(folder)
    rows = {row.file: row for row in (*manifest.compiled, *made)}
    compiled = tuple(rows[name] for name in sorted(rows))
    replace(manifest, compiled=compiled).write(folder, ours=True)
