"""The table of formats. A new format is one file that fulfils `Toolchain`, and one row here."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError, unknown_choice

if TYPE_CHECKING:  # the command line reads this table, and must not wait for numpy and torch
    import numpy as np
    from numpy.typing import NDArray

    from lesionlite.export.source import Source
    from lesionlite.train.data.images import Pixels


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
        """Open the file for execution; NoRuntime where this machine cannot."""


@dataclass(frozen=True)
class Format:
    """One row of the table.

    Attributes:
        name: as users write it; its module is `export/to_NAME.py`.
        suffix: of its files.
        precisions: that it can be written in.
        packages: what its module needs, as pip knows them; the extra of the format's name has them.
    """

    name: str
    suffix: str
    precisions: tuple[str, ...]
    packages: tuple[str, ...]

    def toolchain(self) -> Toolchain:
        """The format's module, imported on first use."""
        return cast(Toolchain, import_module(f"lesionlite.export.to_{self.name}"))


def artifact_name(model: str, format: Format, precision: str) -> str:
    """The name of the file that `export` makes of a network in a format and precision."""
    return f"{model}-{precision}{format.suffix}"


_ONNX = ("onnx", "onnxscript", "onnxruntime")
_TFLITE = ("litert-torch", "ai-edge-quantizer", "ai-edge-litert")
FORMATS = {
    row.name: row
    for row in (
        Format("torchscript", ".ptl", ("fp32", "w8a8"), ("torch",)),
        Format("onnx", ".onnx", ("fp32", "fp16", "w8", "w8a8"), _ONNX),
        Format("tflite", ".tflite", ("fp32", "fp16", "w8", "w8a8"), _TFLITE),
        Format(
            "coreml", ".mlpackage", ("fp32", "fp16", "w8", "w8a8", "w6", "w4"), ("coremltools",)
        ),
        Format("executorch", ".pte", ("fp32", "w8a8"), ("executorch",)),
    )
}


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
    if line := install_line(formats):
        others = " ".join(name for name in FORMATS if not _missing(name))
        raise LesionliteError(f"{line}; or make others with --formats {others}")


def install_line(formats: Iterable[str]) -> str:
    """How to install what some formats need, in one sentence; "" if nothing is missing."""
    lacking = [name for name in formats if _missing(name)]
    if not lacking:
        return ""
    packages = dict.fromkeys(package for name in lacking for package in _missing(name))
    return (
        f"{', '.join(lacking)} files need packages that are not installed "
        f"({', '.join(packages)}): pip install 'lesionlite[{','.join(lacking)}]'"
    )


def _missing(name: str) -> list[str]:
    packages = FORMATS[name].packages
    return [package for package in packages if find_spec(package.replace("-", "_")) is None]


def format_of(path: Path) -> Format:
    """The format of an artifact by its suffix; LesionliteError if it is none of ours."""
    if not path.exists():
        raise LesionliteError(f"there is no artifact {path}")
    for row in FORMATS.values():
        if path.suffix == row.suffix:
            return row
    suffixes = ", ".join(row.suffix for row in FORMATS.values())
    raise LesionliteError(f"{path} is no artifact of lesionlite; their suffixes are: {suffixes}")


def artifact_folder(path: Path) -> Path:
    """The folder of artifacts that `path` is, or that the artifact `path` lies in."""
    return path.parent if any(path.suffix == row.suffix for row in FORMATS.values()) else path


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
        _refuse_lack(row, error)
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
    """Open an artifact with its own runtime.

    Raises:
        NoRuntime: if nothing here executes the format natively.
        LesionliteError: no such file, not one of our formats, or the runtime refuses it.
    """
    row = format_of(path)
    try:
        return row.toolchain().load(path, threads)
    except LesionliteError:
        raise
    except Exception as error:  # as above
        _refuse_lack(row, error)
        raise LesionliteError(f"{path} cannot be executed: {first_line(error)}") from error


def _refuse_lack(row: Format, error: Exception) -> None:
    """LesionliteError if a file could not be read because its toolchain is not installed."""
    absent = any(isinstance(e, ModuleNotFoundError) for e in (error, error.__cause__))
    if absent and (line := install_line([row.name])):
        raise LesionliteError(line) from error


def first_line(error: object) -> str:
    """The first line of what a toolchain says, which tends to say much."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
