"""The table of formats. A new format needs a module with the functions of `Toolchain`, and a row.

Other packages can add formats without a change here: see `format.py`.
"""

from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError, first_line, unknown_choice
from lesionlite.export.format import Format, Runner

GROUP = "lesionlite.formats"


def artifact_name(model: str, format: Format, precision: str) -> str:
    """The name of the file that `export` writes for a network, a format and a precision."""
    return f"{model}-{precision}{format.suffix}"


_ONNX = ("onnx", "onnxscript", "onnxruntime")
_TFLITE = ("litert-torch", "ai-edge-litert", "ai-edge-quantizer")
_TENSORS = "lesionlite.export.execute.tensors"
_CUDA = "torch's aarch64 wheel needs CUDA's libraries"
_OURS = (
    Format("torchscript", "TorchScript", ".ptl", ("fp32", "w8a8"), ("torch",), why_not_arm=_CUDA),
    Format(
        "onnx",
        "ONNX",
        ".onnx",
        ("fp32", "fp16", "w8", "w8a8"),
        _ONNX,
        tensors=f"{_TENSORS}:open_onnx",
        arm="onnx",
    ),
    Format(
        "tflite",
        "TFLite",
        ".tflite",
        ("fp32", "fp16", "w8", "w8a8", "w8a8-int"),
        _TFLITE,
        tensors=f"{_TENSORS}:open_tflite",
        variant="lesionlite.export.forms.attention:NHWC",
        arm="tflite",
    ),
    Format(
        "coreml",
        "Core ML",
        ".mlpackage",
        ("fp32", "fp16", "w8", "w8a8", "w6", "w4"),
        ("coremltools",),
        tensors=f"{_TENSORS}:open_coreml",
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
        partitions="lesionlite.export.execute.partitions:partitions",
        why_not_arm="ExecuTorch's aarch64 wheel needs torch, whose aarch64 wheel needs CUDA's "
        "libraries",
    ),
    Format(
        "coreai",
        "Core AI",
        ".aimodel",
        ("fp32", "fp16", "w8", "w8a8"),
        ("coreai-torch",),
        why_not_arm="Apple's runtime for Linux is built for x86-64 only",
        system="Darwin",
        unproven="the arithmetic of Apple's GPUs and Neural Engine",
        by_default=False,
    ),
)


def with_installed(points: Iterable[EntryPoint]) -> dict[str, Format]:
    """The formats of lesionlite and of other packages, by name.

    Args:
        points: entry points, each of which names a `Format`.

    Raises:
        LesionliteError: an entry point cannot be loaded, is no `Format`, or has the name or the
            suffix of another format.
    """
    table = {row.name: row for row in _OURS}
    for point in points:
        where = f"the entry point {point.name} = {point.value} of the group {GROUP}"
        advice = "correct or uninstall the package that has it"
        try:
            row = point.load()
        except Exception as error:  # importing a package may raise anything
            raise LesionliteError(f"{where} cannot be loaded ({error!r}); {advice}") from error
        if not isinstance(row, Format):
            raise LesionliteError(f"{where} is a {type(row).__name__}, not a Format; {advice}")
        for other in table.values():
            if row.name == other.name or row.suffix == other.suffix:
                raise LesionliteError(
                    f"{where} has the name or the suffix of another format, {other.name} "
                    f"({other.suffix}); {advice}"
                )
        table[row.name] = replace(row, module=row.module or point.module)
    return table


FORMATS = with_installed(entry_points(group=GROUP))


def find_format(name: str) -> Format:
    """The format called `name`.

    Raises:
        LesionliteError: there is none; the error lists the formats.
    """
    if name not in FORMATS:
        raise unknown_choice("format", name, FORMATS)
    return FORMATS[name]


def refuse_missing_packages(formats: Iterable[str]) -> None:
    """Refuse formats whose packages are not installed.

    Raises:
        LesionliteError: a package is missing; the error says how to install it.
    """
    if line := install_line(formats):
        others = " ".join(name for name in FORMATS if not _missing(name))
        raise LesionliteError(f"{line}; or make others with --formats {others}")


def install_line(formats: Iterable[str]) -> str:
    """How to install the missing packages of some formats, in one line; "" if none is missing."""
    incomplete = [name for name in formats if _missing(name)]
    if not incomplete:
        return ""
    packages = dict.fromkeys(package for name in incomplete for package in _missing(name))
    return (
        f"{', '.join(incomplete)} files need packages that are not installed "
        f"({', '.join(packages)}): pip install 'lesionlite[{','.join(incomplete)}]'"
    )


def _missing(name: str) -> list[str]:
    packages = FORMATS[name].packages
    return [package for package in packages if find_spec(package.replace("-", "_")) is None]


def format_by_suffix(path: Path) -> Format | None:
    """The format that has the path's suffix, or None."""
    return next((row for row in FORMATS.values() if row.suffix == path.suffix), None)


def format_of(path: Path) -> Format:
    """The format of an artifact.

    Raises:
        LesionliteError: there is no such file, or no format has its suffix.
    """
    if not path.exists():
        raise LesionliteError(f"there is no artifact {path}")
    row = format_by_suffix(path)
    if row is not None:
        return row
    suffixes = ", ".join(row.suffix for row in FORMATS.values())
    raise LesionliteError(
        f"{path} is not an artifact of lesionlite; their suffixes are: {suffixes}"
    )


def artifact_folder(path: Path) -> Path:
    """The folder of the artifact `path`, or `path` itself if it is a folder."""
    return path if format_by_suffix(path) is None else path.parent


def read_contract(path: Path) -> Contract:
    """The contract that is stored inside an artifact.

    Raises:
        LesionliteError: as `contract_text`.
    """
    return Contract.from_json(contract_text(path), str(path))


def contract_text(path: Path) -> str:
    """The JSON text of the contract that is stored inside an artifact.

    Raises:
        LesionliteError: the file is missing, damaged, of an unknown format or without a contract,
            or its contract has other labels than the format's own list; or the format's packages
            are not installed.
    """
    row = format_of(path)
    try:
        text, labels = row.toolchain().read_contract(path)
    except Exception as error:  # each toolchain has its own errors for a damaged file
        _refuse_missing_toolchain(row, error)
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
        LesionliteError: the file is missing or of an unknown format, its runtime refuses it, or the
            format's packages are not installed.
    """
    row = format_of(path)
    try:
        return row.toolchain().load(path, threads)
    except LesionliteError:
        raise
    except Exception as error:  # each runtime has its own errors
        _refuse_missing_toolchain(row, error)
        raise LesionliteError(f"{path} cannot be executed: {first_line(error)}") from error


def _refuse_missing_toolchain(row: Format, error: Exception) -> None:
    """Explain an error that was caused by a missing package.

    Raises:
        LesionliteError: a package of the format is not installed; the error says how to install it.
    """
    missing = any(isinstance(e, ModuleNotFoundError) for e in (error, error.__cause__))
    if missing and (line := install_line([row.name])):
        raise LesionliteError(line) from error
