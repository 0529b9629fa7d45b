"""The table of formats. A new format is one file that fulfils `Toolchain`, and one row here."""

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError, unknown_choice

if TYPE_CHECKING:  # the command line reads this table, and must not wait for numpy and torch
    import numpy as np
    from numpy.typing import NDArray

    from lesionlite.export.source import Source
    from lesionlite.train.data.images import Pixels


@dataclass(frozen=True)
class Runner:
    """An opened artifact.

    Attributes:
        classify: uint8 [S, S, 3] -> float32 [C] probabilities.
        runtime: what executes it, with its version.
        native: False if a reference executor stands in for the format's own runtime.
    """

    classify: "Callable[[Pixels], NDArray[np.float32]]"
    runtime: str
    native: bool = True


class Toolchain(Protocol):
    """What a format's module provides. Its heavy imports stay inside these functions."""

    def convert(self, source: "Source", paths: dict[str, Path]) -> None:
        """Write the source once per precision; `paths` says where each one goes.

        All precisions in one call, because some share the costly conversion from PyTorch. The
        caller sees to all-or-nothing.
        """

    def read_contract(self, path: Path) -> "tuple[str, Sequence[str] | None]":
        """The contract's JSON text out of the file; any exception means there is none.

        And the labels where the format has a place of its own for them, which apps read, else None.
        """

    def load(self, path: Path, threads: int) -> Runner:
        """Open the file for execution, by a reference executor if its runtime is not here."""


@dataclass(frozen=True)
class Format:
    """One row of the table. `module:function` names a function that is imported on first use.

    Attributes:
        name: the word for it on the command line.
        title: its name in reports.
        suffix: ends the names of its files.
        precisions: the precisions it can be written in.
        packages: the packages its module needs, as pip knows them.
        module: fulfils `Toolchain`; `lesionlite.export.to_NAME` if empty.
        tensors: `module:function` that opens a file to look at its intermediate tensors, for
            `lesionlite diff`; empty if the format hides them.
        arm: the function of `benchmark/elsewhere/arm_worker.py` that executes its files on an
            emulated Arm core; empty if none does.
        why_not_arm: the reason for that.
        system: the only system that has its runtime, as `platform.system` says; empty for all.
        reference: `module:function` that opens a file by a reference executor, on every system.
        unproven: what an execution by the reference executor says nothing of.
        work: `module:function` that counts a file's operations, for a format that
            `lesionlite peers` cannot time.
    """

    name: str
    title: str
    suffix: str
    precisions: tuple[str, ...]
    packages: tuple[str, ...]
    module: str = ""
    tensors: str = ""
    arm: str = ""
    why_not_arm: str = "lesionlite has nothing that executes such files there"
    system: str = ""
    reference: str = ""
    unproven: str = "a phone's arithmetic"
    work: str = ""

    def toolchain(self) -> Toolchain:
        """The format's module, imported on first use."""
        return cast(Toolchain, import_module(self.module or f"lesionlite.export.to_{self.name}"))

    @property
    def is_native_here(self) -> bool:
        """Whether this system has the format's own runtime."""
        return self.system in ("", platform.system())


def artifact_name(model: str, format: Format, precision: str) -> str:
    """The name of the file that `export` makes of a network in a format and precision."""
    return f"{model}-{precision}{format.suffix}"


_ONNX = ("onnx", "onnxscript", "onnxruntime")
_TFLITE = ("litert-torch", "ai-edge-quantizer", "ai-edge-litert")
_TENSORS = "lesionlite.export.execute.tensors"
_CUDA = "torch's aarch64 wheel needs CUDA's libraries"
FORMATS = {
    row.name: row
    for row in (
        Format(
            "torchscript", "TorchScript", ".ptl", ("fp32", "w8a8"), ("torch",), why_not_arm=_CUDA
        ),
        Format(
            "onnx",
            "ONNX",
            ".onnx",
            ("fp32", "fp16", "w8", "w8a8"),
            _ONNX,
            tensors=f"{_TENSORS}:of_onnx",
            arm="onnx",
        ),
        Format(
            "tflite",
            "TFLite",
            ".tflite",
            ("fp32", "fp16", "w8", "w8a8"),
            _TFLITE,
            tensors=f"{_TENSORS}:of_tflite",
            arm="tflite",
        ),
        Format(
            "coreml",
            "Core ML",
            ".mlpackage",
            ("fp32", "fp16", "w8", "w8a8", "w6", "w4"),
            ("coremltools",),
            tensors=f"{_TENSORS}:of_coreml",
            why_not_arm="Core ML runs on Apple's systems only",
            system="Darwin",
            reference="lesionlite.export.mil.execute:open_runner",
            unproven="the arithmetic of the Neural Engine",
            work="lesionlite.export.mil.count:count",
        ),
        Format(
            "executorch",
            "ExecuTorch",
            ".pte",
            ("fp32", "w8a8"),
            ("executorch",),
            why_not_arm="ExecuTorch's aarch64 wheel needs torch, whose aarch64 wheel needs CUDA's "
            "libraries",
        ),
    )
}


def named_function(name: str) -> Any:
    """The function that a row names as `module:function`."""
    module, function = name.split(":")
    return getattr(import_module(module), function)


def find_format(name: str) -> Format:
    """The format called `name`; LesionliteError that lists them all if there is none."""
    if name not in FORMATS:
        raise unknown_choice("format", name, FORMATS)
    return FORMATS[name]


def refuse_missing_packages(formats: Iterable[str]) -> None:
    """Refuse formats whose toolchain is not installed, before any work is done.

    Raises:
        LesionliteError: with the line that installs it.
    """
    for name in formats:
        missing = [p for p in FORMATS[name].packages if find_spec(p.replace("-", "_")) is None]
        if missing:
            others = " ".join(other for other in FORMATS if other != name)
            raise LesionliteError(
                f"{name} files need a toolchain that is not installed: "
                f"pip install {' '.join(missing)}; or make others with --formats {others}"
            )


def format_by_suffix(path: Path) -> Format | None:
    """The format that a path's suffix belongs to; None if it is none of ours."""
    return next((row for row in FORMATS.values() if row.suffix == path.suffix), None)


def format_of(path: Path) -> Format:
    """The format of an artifact by its suffix; LesionliteError if it is none of ours."""
    if not path.exists():
        raise LesionliteError(f"there is no artifact {path}")
    row = format_by_suffix(path)
    if row is not None:
        return row
    suffixes = ", ".join(row.suffix for row in FORMATS.values())
    raise LesionliteError(f"{path} is no artifact of lesionlite; their suffixes are: {suffixes}")


def artifact_folder(path: Path) -> Path:
    """The folder of artifacts that `path` is, or that the artifact `path` lies in."""
    return path if format_by_suffix(path) is None else path.parent


def read_contract(path: Path) -> Contract:
    """The contract embedded in an artifact; LesionliteError as `contract_text` raises."""
    return Contract.from_json(contract_text(path), str(path))


def contract_text(path: Path) -> str:
    """The contract embedded in an artifact, as it stands there.

    Raises:
        LesionliteError: no such file, not one of our formats, damaged, no contract in it, or one
            that has other labels than the format's own list.
    """
    row = format_of(path)
    try:
        text, labels = row.toolchain().read_contract(path)
    except Exception as error:  # each toolchain has its own errors for a damaged file
        raise LesionliteError(
            f"{path} is damaged or was not made by lesionlite: no contract can be read from it "
            f"({first_line(error)})"
        ) from error
    contract = Contract.from_json(text, str(path))
    if labels is not None and tuple(labels) != contract.labels:
        raise LesionliteError(
            f"{path} has two lists of labels that differ: {', '.join(contract.labels)} in its "
            f"contract, {', '.join(labels)} where apps look for them; export it again"
        )
    return text


def open_runner(path: Path, threads: int = 2) -> Runner:
    """Open an artifact for execution.

    Raises:
        LesionliteError: no such file, not one of our formats, or the runtime refuses it.
    """
    try:
        return format_of(path).toolchain().load(path, threads)
    except LesionliteError:
        raise
    except Exception as error:  # as above
        raise LesionliteError(f"{path} cannot be executed: {first_line(error)}") from error


def first_line(error: object) -> str:
    """The first line of what a toolchain says, which tends to say much."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
