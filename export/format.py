"""What a format is: a row of the table in `formats.py`, and the functions of its module.

A package of its own imports this module, describes its format as a `Format`, and names that object
as an entry point of the group `lesionlite.formats`; `formats.py` then lists it beside ours.
"""

import platform
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:  # the command line reads the table, and must not wait for numpy and torch
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
    """The functions of a format's module. They import heavy packages inside, on first use."""

    def convert(self, source: "Source", paths: dict[str, Path]) -> None:
        """Write one file for each precision to its path in `paths`.

        One call writes all precisions, because some share the slow conversion from PyTorch. The
        paths are temporary; the caller moves the files into place when all are written.
        """

    def read_contract(self, path: Path) -> "tuple[str, Sequence[str] | None]":
        """The contract's JSON text, and the labels that apps read from the file.

        The labels are None if the format has no place of its own for them. Any exception means
        that the file holds no contract.
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
        module: fulfils `Toolchain`; if empty, `lesionlite.export.to_NAME`, or the module that the
            entry point of another package names.
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
        import_triton()
        return cast(Toolchain, import_module(self.module or f"lesionlite.export.to_{self.name}"))

    @property
    def is_native_here(self) -> bool:
        """Whether this system has the format's own runtime."""
        return self.system in ("", platform.system())


def named_function(name: str) -> Any:
    """The function that a row names as `module:function`."""
    import_triton()
    module, function = name.split(":")
    return getattr(import_module(module), function)


def import_triton() -> None:
    """Import Triton, if it is installed. Call this before anything can import TensorFlow.

    TensorFlow 2.20 and later make the symbols of their LLVM global. A Triton that is imported after
    them crashes the process (tensorflow issue 124205). CUDA builds of PyTorch bring Triton and
    import it late; coremltools imports a TensorFlow that is installed. This function can go when
    TensorFlow no longer opens its library with RTLD_GLOBAL.
    """
    with suppress(ImportError):
        import_module("triton")
