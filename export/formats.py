"""The table of formats. A new format is one file that fulfils `Toolchain`, and one row here."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from export.metadata import Metadata
from train.contract import Contract
from train.errors import LesionliteError, unknown_choice

if TYPE_CHECKING:  # the command line reads this table, and must not wait for numpy and torch
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from export.plan import Plan
    from train.data import Pixels


class NoRuntime(LesionliteError):
    """The file may be fine, but nothing on this machine executes its format natively."""


@dataclass(frozen=True)
class Runner:
    """An opened artifact.

    Attributes:
        classify: uint8 [S, S, 3] -> float32 [C] probabilities.
        runtime: what executes it, with its version.
    """

    classify: "Callable[[Pixels], NDArray[np.float32]]"
    runtime: str


class Toolchain(Protocol):
    """What a format's module provides. Its heavy imports stay inside these functions."""

    def convert(
        self,
        network: "nn.Module",
        contract: Contract,
        plan: "Plan | None",
        paths: dict[str, Path],
        metadata: Metadata,
    ) -> None:
        """Write `network` (timm's, float32) once per precision; `paths` says where each one goes.

        All precisions in one call, because they share the costly conversion from PyTorch. The
        caller sees to all-or-nothing. `plan` is given where one of the precisions is calibrated;
        all formats follow the same one. `metadata` goes into the format's own standard fields.
        """

    def read_contract(self, path: Path) -> str:
        """The contract's JSON text out of the file; any exception means there is none."""

    def load(self, path: Path, threads: int) -> Runner:
        """Open the file for execution; NoRuntime where this machine cannot."""


@dataclass(frozen=True)
class Format:
    """One row of the table."""

    name: str
    suffix: str
    precisions: tuple[str, ...]
    module: str
    used_by: str

    def toolchain(self) -> Toolchain:
        """The format's module, imported on first use."""
        return cast(Toolchain, import_module(self.module))


FORMATS = {
    row.name: row
    for row in (
        Format("torchscript", ".ptl", ("fp32", "w8a8"), "export.to_torchscript", "PyTorch Mobile"),
        Format("onnx", ".onnx", ("fp32", "fp16", "w8a8"), "export.to_onnx", "ONNX Runtime"),
        Format("tflite", ".tflite", ("fp32", "fp16", "w8a8"), "export.to_tflite", "LiteRT"),
        Format(
            "coreml",
            ".mlpackage",
            ("fp32", "fp16", "w8", "w8a8", "w6", "w4"),
            "export.to_coreml",
            "Core ML",
        ),
        Format("executorch", ".pte", ("fp32", "w8a8"), "export.to_executorch", "ExecuTorch"),
    )
}


def find_format(name: str) -> Format:
    """The format called `name`; LesionliteError that lists them all if there is none."""
    if name not in FORMATS:
        raise unknown_choice("format", name, FORMATS)
    return FORMATS[name]


def format_of(path: Path) -> Format:
    """The format of an artifact by its suffix; LesionliteError if it is none of ours."""
    if not path.exists():
        raise LesionliteError(f"there is no artifact {path}")
    for row in FORMATS.values():
        if path.suffix == row.suffix:
            return row
    suffixes = ", ".join(row.suffix for row in FORMATS.values())
    raise LesionliteError(f"{path} is no artifact of lesionlite; their suffixes are: {suffixes}")


def read_contract(path: Path) -> Contract:
    """The contract embedded in an artifact.

    Raises:
        LesionliteError: no such file, not one of our formats, damaged, or no contract in it.
    """
    row = format_of(path)
    try:
        text = row.toolchain().read_contract(path)
    except Exception as error:  # each toolchain has its own errors for a damaged file
        raise LesionliteError(
            f"{path} is damaged or was not made by lesionlite: no contract can be read from it "
            f"({first_line(error)})"
        ) from error
    return Contract.from_json(text, str(path))


def open_runner(path: Path, threads: int = 2) -> Runner:
    """Open an artifact with its own runtime.

    Raises:
        NoRuntime: if nothing here executes the format natively.
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
