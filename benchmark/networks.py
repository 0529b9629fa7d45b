"""Check many networks, and write tables: what each format makes of them in each precision.

`python -m lesionlite.benchmark.networks MODEL... --out OUT --precisions fp32 w8a8`. Interrupted, or
called again with more networks or precisions, it keeps what was right and does the rest.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tyro.conf import Positional

from lesionlite.benchmark.networks_tables import write_network_tables
from lesionlite.command import Json, Outcome
from lesionlite.console import respond, say, track
from lesionlite.documents import as_record, parse_json, read_record
from lesionlite.errors import LesionliteError
from lesionlite.export.check.attempt import CRASHED, RIGHT, Converted
from lesionlite.export.check.network import PRECISIONS_BY_DEFAULT, NetworkCheck
from lesionlite.export.config import FORMATS_BY_DEFAULT, ExportConfig
from lesionlite.files import inside, write_json
from lesionlite.flags import read_flags
from lesionlite.outputs import writing_into
from lesionlite.settings import refuse_types
from lesionlite.train.config import TrainConfig

COMMAND = (sys.executable, "-P", "-m", "lesionlite", "check")
FOLDER = "checks"  # of the networks' own JSON files


@dataclass(frozen=True)
class Networks:
    """Check networks as `lesionlite check` does, and write tables of all that the folder holds.

    Exits with 1 if a file of a network is not right.
    """

    models: Positional[tuple[str, ...]]
    """The timm names of networks."""
    out: Path
    """Folder for the tables, and for a JSON file of each network."""
    side: int = 0
    """Side of their square inputs in pixels; 0 means each network's own."""
    formats: tuple[str, ...] = FORMATS_BY_DEFAULT
    """Formats to try."""
    precisions: tuple[str, ...] = PRECISIONS_BY_DEFAULT
    """Precisions to try, in each format that has them."""
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse settings out of range.

        Raises:
            LesionliteError: names the flag, its value, and the values it may have.
        """
        refuse_types(self)
        TrainConfig(side=self.side)
        ExportConfig(self.formats, self.precisions)  # refuses networks that follow --formats
        if not self.models:
            raise LesionliteError("name one or more networks of timm, before any flag")

    def run(self) -> Outcome:
        """Check the networks, and write the tables after each."""
        with writing_into(self.out):
            for model in track(self.models, "checking networks", len(self.models)):
                self._check(model)
                found = [_read(file) for file in sorted((self.out / FOLDER).glob("*.json"))]
                text = write_network_tables(self.out, found)
        say(text)
        say(f"tables: {self.out}")
        wrong = not all(one.passed for one in found)
        return {"networks": [asdict(one) for one in found]}, int(wrong)

    def _check(self, model: str) -> None:
        """Do what is missing of one network, and write its file."""
        file = inside(self.out / FOLDER, f"{model}.json", "MODEL")
        before = _read(file) if file.exists() else None
        if before and self.side not in (0, before.side):
            raise LesionliteError(
                f"{file} is of --side {before.side}, not {self.side}; choose another --out"
            )
        rows = {(row.format, row.precision): row for row in before.formats} if before else {}
        asked = [(row.name, p) for row, p in ExportConfig(self.formats, self.precisions).pairs()]
        missing = [pair for pair in asked if pair not in rows or rows[pair].outcome != RIGHT]
        if missing:
            found = check_apart(model, before.side if before else self.side, missing)
            rows |= {(row.format, row.precision): row for row in found.formats}
            write_json(file, asdict(replace(found, formats=tuple(rows.values()))))


def check_apart(model: str, side: int, pairs: Sequence[tuple[str, str]]) -> NetworkCheck:
    """Check a network in a process of its own, which may crash.

    If it does, each format is tried in one of its own, to see which of them crashes.

    Args:
        model: timm's name.
        side: of its input in pixels; 0 means its own.
        pairs: names of formats and precisions to try.

    Raises:
        LesionliteError: as `check_network`.
    """
    formats, precisions = (list(dict.fromkeys(names)) for names in zip(*pairs, strict=True))
    flags = [model, "--side", str(side), "--json", "--formats", *formats]
    done = subprocess.run(
        [*COMMAND, *flags, "--precisions", *precisions], capture_output=True, text=True
    )
    if done.returncode in (0, 1) and done.stdout:
        return as_record(parse_json(done.stdout, model), NetworkCheck, model, extra=True)
    said = done.stderr.strip().splitlines()[-1:] or ["no message"]
    if done.returncode == 2:
        raise LesionliteError(said[0].removeprefix("lesionlite: "))
    if len(formats) == 1:
        sentence = f"the process ended with exit code {done.returncode}: {said[0]}"
        crashed = tuple(Converted(*pair, CRASHED, sentence=sentence) for pair in pairs)
        return NetworkCheck(model, side, 0, 0, {}, {}, crashed)
    parts = [check_apart(model, side, [p for p in pairs if p[0] == name]) for name in formats]
    whole = max(parts, key=lambda part: part.parameters)
    return replace(whole, formats=tuple(row for part in parts for row in part.formats))


def _read(file: Path) -> NetworkCheck:
    return read_record(file, NetworkCheck, extra=True, advice="delete it")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    prog = "python -m lesionlite.benchmark.networks"
    return respond(given, lambda: read_flags(Networks, given, prog))


if __name__ == "__main__":
    sys.exit(main())
