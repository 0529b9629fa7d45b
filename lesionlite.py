"""lesionlite: from a folder of images to phone models that are proven.

The public face: what users import, and the `lesionlite` command. Both only hand on to `train`,
`export` and `benchmark`; torch and the toolchains are imported when a function needs them.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.config import BenchmarkConfig
from export.config import ExportConfig
from train.config import TrainConfig
from train.contract import Contract
from train.errors import LesionliteError, unknown_choice
from train.imbalance import ens_weights, sampling_weights
from train.recipes import recipe
from train.settings import named_path

if TYPE_CHECKING:
    from benchmark.predictor import Predictor
    from benchmark.report import Report
    from export.embed import Embedded
    from export.manifest import Artifact
    from export.verify import Verification
    from train.commands import Command
    from train.fit import TrainResult
    from train.metrics import Scores

T = TypeVar("T")

__all__ = [
    "BenchmarkConfig",
    "Contract",
    "ExportConfig",
    "LesionliteError",
    "TrainConfig",
    "benchmark",
    "build",
    "embed",
    "ens_weights",
    "evaluate",
    "export",
    "load",
    "recipe",
    "sampling_weights",
    "train",
    "verify",
]


def train(
    data: Path | str, out: Path | str, config: TrainConfig | None = None, resume: bool = False
) -> "tuple[TrainResult, Scores | None]":
    """Train on a data folder into the run folder `out`; scores are those of test/, if it is there.

    Raises:
        LesionliteError: bad data or settings, or a run that is already there.
    """
    from train.results import train_and_test

    settings = _settings(config, TrainConfig)
    return train_and_test(named_path(data, "data"), named_path(out, "out"), settings, resume)


def evaluate(path: Path | str, folder: Path | str) -> "Scores":
    """Score a run or an artifact on a folder of class folders (a subset of its classes will do).

    Raises:
        LesionliteError: nothing to open, no images, or classes that the model does not know.
    """
    from benchmark.evaluate import evaluate as score_folder

    return score_folder(named_path(path, "path"), named_path(folder, "folder"))[0]


def export(
    run: Path | str,
    out: Path | str,
    config: ExportConfig | None = None,
    data: Path | str | None = None,
) -> "list[Artifact]":
    """Convert a run to phone formats in `out`; w8a8 calibrates on `data`/train.

    Golden vectors are laid beside them: drawn images with each file's answers.

    Raises:
        LesionliteError: no run, or w8a8 without images to calibrate on.
    """
    from benchmark.golden import export_with_golden

    settings = _settings(config, ExportConfig)
    images = None if data is None else named_path(data, "data")
    return export_with_golden(named_path(run, "run"), named_path(out, "out"), settings, images)


def verify(folder: Path | str) -> "Verification":
    """Check a folder of artifacts against its manifest; `.passed` and `.checks` tell.

    Raises:
        LesionliteError: no folder, or no manifest that can be read.
    """
    from export.verify import verify as check_folder

    return check_folder(named_path(folder, "folder"))


def embed(
    artifacts: Path | str, app: str, out: Path | str, precision: str | None = None
) -> "Embedded":
    """Make a phone app (web, android, ios) in `out` that holds artifacts; see `export.embed`.

    Raises:
        LesionliteError: nothing to embed, what failed or was changed, or an app that is there.
    """
    from export.embed import embed as fill_template

    return fill_template(named_path(artifacts, "artifacts"), app, named_path(out, "out"), precision)


def benchmark(
    artifacts: Path | str, run: Path | str, data: Path | str, config: BenchmarkConfig | None = None
) -> "Report":
    """Judge and time the artifacts of a run on labelled images.

    Raises:
        LesionliteError: no artifacts, no run, no images.
    """
    from benchmark.run import benchmark as judge

    settings = _settings(config, BenchmarkConfig)
    return judge(
        named_path(artifacts, "artifacts"),
        named_path(run, "run"),
        named_path(data, "data"),
        settings,
    )


def build(
    out: Path | str,
    data: Path | str | None = None,
    run: Path | str | None = None,
    training: TrainConfig | None = None,
    exporting: ExportConfig | None = None,
    benchmarking: BenchmarkConfig | None = None,
) -> dict[str, Any]:
    """Train (or take `run`), export, benchmark; returns what `out`/report.json holds.

    Without `data`, images are drawn. Steps whose inputs have not changed are skipped.

    Raises:
        LesionliteError: as the steps do.
    """
    from benchmark.build import build as run_steps

    return run_steps(
        named_path(out, "out"),
        None if data is None else named_path(data, "data"),
        None if run is None else named_path(run, "run"),
        training and _settings(training, TrainConfig),
        exporting and _settings(exporting, ExportConfig),
        benchmarking and _settings(benchmarking, BenchmarkConfig),
    )


def _settings(given: Any, kind: type[T]) -> T:
    """Settings of a kind; the defaults for None. LesionliteError if they are of another kind."""
    if given is None:
        return kind()
    if not isinstance(given, kind):
        raise LesionliteError(f"config is {given!r}; it must be a {kind.__name__}")
    return given


def load(path: Path | str) -> "Predictor":
    """Open a run or any artifact.

    `load(path).predict(images)` takes uint8 [N, H, W, 3] or N file paths and gives float32 [N, C]
    probabilities in the order of `load(path).contract.labels`.

    Raises:
        LesionliteError: nothing there, not one of ours, damaged, or not executable here.
    """
    from benchmark.predictor import load as open_any

    return open_any(path)


COMMANDS = {  # name: module, and the first line of the command's docstring (a test compares them)
    "build": (
        "benchmark.commands",
        "Do it all: train, export, benchmark. Steps whose inputs have not changed are skipped.",
    ),
    "prepare": (
        "train.commands",
        "Merge raw HAM10000, ISIC 2019 and MSLD v2.0 into one ImageFolder of the paper's classes.",
    ),
    "audit": (
        "train.commands",
        "Look for lesions, patients and near-duplicates in two splits; exits with 1 if any.",
    ),
    "train": (
        "train.commands",
        "Train a classifier on a data folder and keep the best checkpoint in a run folder.",
    ),
    "export": (
        "benchmark.commands",
        "Convert a run to TorchScript, ONNX, TFLite, Core ML and ExecuTorch files, quantized too.",
    ),
    "verify": (
        "export.commands",
        "Check a folder of artifacts against its manifest: what is missing, changed or not listed.",
    ),
    "embed": (
        "export.commands",
        "Make a phone app that holds artifacts, their contract and their golden vectors.",
    ),
    "serve": (
        "export.commands",
        "Build the web app that `lesionlite embed --app web` made, and serve it on this machine.",
    ),
    "benchmark": (
        "benchmark.commands",
        "Prove on labelled images that artifacts predict as PyTorch does, and time them.",
    ),
    "diff": (
        "benchmark.commands",
        "Compare two forms of a network layer by layer: where do they begin to differ?",
    ),
    "armroot": (
        "benchmark.commands",
        "Fetch an Arm system with Python and the runtimes, which `benchmark --arm` emulates.",
    ),
    "evaluate": (
        "benchmark.commands",
        "Score a run or an artifact on a folder of class folders, from its own contract alone.",
    ),
    "predict": (
        "benchmark.commands",
        "Classify images with a run or an artifact, from its own contract alone.",
    ),
    "explain": (
        "train.commands",
        "Draw where in an image a run saw the class it answers (Grad-CAM).",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The `lesionlite` command.

    Returns:
        0 if all went well, 1 if an artifact did not pass, 2 for what the user can mend, 130 for
        Ctrl-C.
    """
    from train.console import respond

    arguments = sys.argv[1:] if arguments is None else list(arguments)
    return respond(arguments, lambda: _parse(arguments))


def _parse(arguments: Sequence[str]) -> "Command":
    """The command that the arguments ask for; SystemExit for --help and for wrong flags."""
    if list(arguments[:1]) == ["help"]:
        arguments = [*arguments[1:2], "--help"]
    _refuse_no_command(arguments)
    _refuse_torchrun(arguments)
    from train.commands import take_defaults
    from train.flags import read_flags
    from train.recipes import named_in

    kind: Any = getattr(import_module(COMMANDS[arguments[0]][0]), arguments[0].capitalize())

    def parse() -> "Command":
        command: Command = read_flags(kind, arguments[1:], f"lesionlite {arguments[0]}")
        return command

    named = named_in(arguments)
    take_defaults(recipe(named or "paper"))
    command = parse()
    # Whether a build has a data folder is known only now; without one it trains the demo.
    if arguments[0] == "build" and not named and getattr(command, "data", ...) is None:
        take_defaults(recipe("demo"))
        command = parse()
    return command


def _refuse_no_command(arguments: Sequence[str]) -> None:
    """SystemExit after --help and --version, LesionliteError without a command that is known."""
    from train.flags import asks_for_help

    first = arguments[0] if arguments else ""
    if first in COMMANDS:
        return
    if asks_for_help(arguments) and first.startswith("-"):
        _print_help()
        raise SystemExit(0)
    if first == "--version":
        print(f"lesionlite {_version()}")
        raise SystemExit(0)
    if not first or first.startswith("-"):
        found = f"before {first}" if first else "after lesionlite"
        raise LesionliteError(
            f"a command is missing {found}; choose from: {', '.join(COMMANDS)}; "
            "lesionlite --help tells what they do"
        )
    raise unknown_choice("command", first, COMMANDS)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("lesionlite")
    except PackageNotFoundError:  # a checkout that was not installed
        return "of a checkout"


def _refuse_torchrun(arguments: Sequence[str]) -> None:
    alone = arguments[0] != "train" or "--profile" in arguments
    if "TORCHELASTIC_RUN_ID" in os.environ and alone:
        raise LesionliteError(
            "torchrun shares out training alone (lesionlite train, without --profile); run "
            f"`lesionlite {arguments[0]}` by itself"
        )


def _print_help() -> None:
    """Without importing a command: the answer must come at once."""
    print("usage: lesionlite COMMAND [--help] ...\n")
    print("From a folder of images to phone models that are proven.\n")
    for name, (_, summary) in COMMANDS.items():
        print(f"  {name:10} {summary}")
    print(
        "\n`lesionlite build` does it all, on drawn images; `lesionlite COMMAND --help` tells more."
    )


if __name__ == "__main__":
    sys.exit(main())
