"""The `lesionlite` command: find the subcommand, parse its flags, run it."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from lesionlite.errors import LesionliteError, unknown_choice

if TYPE_CHECKING:
    from lesionlite.command import Command

COMMANDS = {  # name: module, and the first line of the command's docstring (a test compares them)
    "build": (
        "lesionlite.benchmark.commands",
        "Do it all: train, export, benchmark. Steps whose inputs have not changed are skipped.",
    ),
    "prepare": (
        "lesionlite.train.commands",
        "Merge raw HAM10000, ISIC 2019 and MSLD v2.0 into one ImageFolder of the paper's classes.",
    ),
    "audit": (
        "lesionlite.train.commands",
        "Look for lesions, patients and near-duplicates in two splits; exits with 1 if any.",
    ),
    "train": (
        "lesionlite.train.commands",
        "Train a classifier on a data folder and keep the best checkpoint in a run folder.",
    ),
    "adjust": (
        "lesionlite.train.commands",
        "Choose for how frequent classes a run answers: weighted F1 against recall of the rare.",
    ),
    "profile": (
        "lesionlite.train.commands",
        "Measure images per second: of the loader, of the training step, and of both together.",
    ),
    "check": (
        "lesionlite.export.commands",
        "Say what a network gives on phones before it is trained: formats, layers, sizes.",
    ),
    "export": (
        "lesionlite.export.commands",
        "Convert a run to TorchScript, ONNX, TFLite, Core ML and ExecuTorch files, quantized too.",
    ),
    "verify": (
        "lesionlite.export.commands",
        "Check a folder of artifacts against its manifest: what is missing, changed or not listed.",
    ),
    "embed": (
        "lesionlite.mobile_app_stub.commands",
        "Make a phone app that holds artifacts, their contract and their golden vectors.",
    ),
    "serve": (
        "lesionlite.mobile_app_stub.commands",
        "Build the web app that `lesionlite embed --app web` made, and serve it on this machine.",
    ),
    "benchmark": (
        "lesionlite.benchmark.commands",
        "Prove on labelled images that artifacts predict as PyTorch does, and time them.",
    ),
    "compare": (
        "lesionlite.benchmark.compare.command",
        "Compare networks, or values of one setting: scores over seeds, latency and size of files.",
    ),
    "peers": (
        "lesionlite.benchmark.commands",
        "Time artifacts beside each toolchain's default export of the same network, in one run.",
    ),
    "layers": (
        "lesionlite.benchmark.commands",
        "Say which layers of a TFLite or ONNX file take the time, and how fast they are.",
    ),
    "targets": (
        "lesionlite.benchmark.commands",
        "Compile artifacts for the processors of phones: which take a file wholly, and what not.",
    ),
    "compile": (
        "lesionlite.benchmark.commands",
        "Compile ONNX and TFLite artifacts for Snapdragons' NPUs, as they ship to phones.",
    ),
    "diff": (
        "lesionlite.export.commands",
        "Compare two forms of a network layer by layer: where do they begin to differ?",
    ),
    "armroot": (
        "lesionlite.benchmark.commands",
        "Fetch an Arm system with Python and the runtimes, which `benchmark --arm` emulates.",
    ),
    "evaluate": (
        "lesionlite.export.commands",
        "Score a run or an artifact on a folder of class folders, from its own contract alone.",
    ),
    "predict": (
        "lesionlite.export.commands",
        "Classify images with a run or an artifact, from its own contract alone.",
    ),
    "explain": (
        "lesionlite.train.commands",
        "Draw where in an image a run saw the class it answers (Grad-CAM).",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The `lesionlite` command.

    Returns:
        0 if all went well, 1 if an artifact did not pass, 2 for an error that the user can mend,
        130 for Ctrl-C.
    """
    from lesionlite.console import respond

    arguments = sys.argv[1:] if arguments is None else list(arguments)
    return respond(arguments, lambda: _parse(arguments))


def run() -> NoReturn:
    """What `lesionlite` and `python -m lesionlite` call: `main`, and the end of the process."""
    from lesionlite.console import INTERRUPTED

    code = main()
    if code == INTERRUPTED:
        # Ctrl-C cut work short, and torch's threads may outlive it: where one of them asks for
        # Python while it is being taken down, the process would abort (torch 2.13).
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # closed, or never there
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _parse(arguments: Sequence[str]) -> "Command":
    """Parse the arguments into a command; raises SystemExit after --help."""
    if list(arguments[:1]) == ["help"]:
        arguments = [*arguments[1:2], "--help"]
    _refuse_no_command(arguments)
    _refuse_torchrun(arguments)
    from lesionlite.flags import read_flags

    kind: Any = getattr(import_module(COMMANDS[arguments[0]][0]), arguments[0].capitalize())
    command: Command = read_flags(kind, arguments[1:], f"lesionlite {arguments[0]}")
    return command


def _refuse_no_command(arguments: Sequence[str]) -> None:
    """Refuse arguments that do not begin with a command; --help and --version end here."""
    from lesionlite.flags import asks_for_help

    first = arguments[0] if arguments else ""
    if first in COMMANDS:
        return
    if asks_for_help(arguments) and first.startswith("-"):
        _print_help()
        raise SystemExit(0)
    if first == "--version":
        from lesionlite.version import own_version

        print(f"lesionlite {own_version()}")
        raise SystemExit(0)
    if not first or first.startswith("-"):
        found = f"before {first}" if first else "after lesionlite"
        raise LesionliteError(
            f"a command is missing {found}; choose from: {', '.join(COMMANDS)}; "
            "lesionlite --help tells what they do"
        )
    raise unknown_choice("command", first, COMMANDS)


def _refuse_torchrun(arguments: Sequence[str]) -> None:
    if "TORCHELASTIC_RUN_ID" in os.environ and arguments[0] != "train":
        raise LesionliteError(
            "torchrun shares out training alone (lesionlite train); run "
            f"`lesionlite {arguments[0]}` by itself"
        )


def _print_help() -> None:
    """Print the list of commands. It imports none of them, to be fast."""
    print("usage: lesionlite COMMAND [--help] ...\n")
    print("From a folder of images to phone models that are proven.\n")
    for name, (_, summary) in COMMANDS.items():
        print(f"  {name:10} {summary}")
    print(
        "\n`lesionlite build` does it all, on drawn images; `lesionlite COMMAND --help` tells more."
    )
