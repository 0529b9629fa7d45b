"""`lesionlite verify`."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from train.commands import Json, Outcome
from train.console import say


@dataclass(frozen=True)
class Verify:
    """Check a folder of artifacts against its manifest: what is missing, changed or not listed.

    Exits with 1 if anything differs.
    """

    artifacts: Positional[Path]
    """Folder that `lesionlite export` wrote."""
    json: Json = False

    def run(self) -> Outcome:
        """Verify, and show one line for each file."""
        from export.verify import verify

        result = verify(self.artifacts)
        for check in result.checks:
            say(check.line())
        wrong = sum(check.status != "ok" for check in result.checks)
        say(f"{wrong} of {len(result.checks)} differ" if wrong else "all is as the manifest says")
        document = {
            "folder": result.folder,
            "passed": result.passed,
            "checks": [vars(check) for check in result.checks],
        }
        return document, 0 if result.passed else 1
