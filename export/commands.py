"""`lesionlite export` and `verify`."""

from dataclasses import dataclass, field
from pathlib import Path

from tyro.conf import OmitArgPrefixes, Positional

from export.config import ExportConfig
from train.commands import Json, Outcome
from train.console import say


@dataclass(frozen=True)
class Export:
    """Convert a run to TorchScript, ONNX, TFLite, Core ML and ExecuTorch files, quantized too.

    Every file takes an 8-bit RGB image and gives probabilities; its contract is inside.
    """

    run_folder: Positional[Path]
    """Run folder that `lesionlite train` wrote."""
    out: Path
    """Folder for the artifacts and their manifest.json."""
    data: Path | None = None
    """Data folder whose train/ gives the calibration images; w8a8 needs it."""
    config: OmitArgPrefixes[ExportConfig] = field(default_factory=ExportConfig)
    json: Json = False

    def run(self) -> Outcome:
        """Convert, and list the files."""
        from export.run import export

        made = export(self.run_folder, self.out, self.config, self.data)
        for row in made:
            say(f"{row.artifact}  {row.size_bytes / 1e6:.1f} MB")
        say(f"artifacts: {self.out}")
        data = self.data or "DATA"
        say(f"next: lesionlite benchmark {self.out} --run {self.run_folder} --data {data}")
        return {"out": str(self.out), "artifacts": [vars(row) for row in made]}, 0


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
