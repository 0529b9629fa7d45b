"""What defines a format: a row of the table in `formats.py`, and the functions of its module.

Another package can add a format. It describes the format with a `Format` object, and names that
object as an entry point of the group `lesionlite.formats`. `formats.py` adds it to the table.
"""

import logging
import platform
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from lesionlite.export.lean import lean

# What coremltools imports if it is there, and needs for networks of these packages alone.
SOUGHT = ("tensorflow", "executorch", "transformers", "torchao", "sklearn")

if TYPE_CHECKING:  # the command line reads the table, and should not wait for numpy and torch
    import numpy as np
    from numpy.typing import NDArray

    from lesionlite.export.source import Source
    from lesionlite.train.data.images import Pixels


@dataclass(frozen=True)
class Runner:
    """An opened artifact.

    Attributes:
        classify: maps uint8 [S, S, 3] to probabilities, float32 [C].
        runtime: name and version of what executes it.
        native: False if a reference executor stands in for the format's own runtime.
    """

    classify: "Callable[[Pixels], NDArray[np.float32]]"
    runtime: str
    native: bool = True


class Toolchain(Protocol):
    """The functions of a format's module. Each imports heavy packages itself, when it is called."""

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
        """Open the file with its runtime, or with a reference executor on other systems."""


@dataclass(frozen=True)
class Format:
    """One row of the table. `module:function` names a function, which is imported on first use.

    Attributes:
        name: name on the command line.
        title: name in reports.
        suffix: suffix of the file names, with the dot.
        precisions: names in `PRECISIONS` that the format can be written in.
        packages: names of the packages that the module needs, as pip knows them.
        module: module that has the functions of `Toolchain`. If empty, it is
            `lesionlite.export.writers.to_NAME`; for a format of another package, the entry
            point's module.
        tensors: `module:function` that opens a file to read its intermediate tensors, for
            `lesionlite diff`; empty if the format hides them.
        variant: `module:object` that names the variant of the mobile form in the files, if it
            arranges pixels in another way than images do; a run is compared in that variant.
        arm: the function of `benchmark/elsewhere/arm_worker.py` that executes the files on an
            emulated Arm core; empty if there is none.
        why_not_arm: why there is none.
        system: the only system that has the runtime of phones, as `platform.system` names it; empty
            for all.
        reference: `module:function` that opens a file with a reference executor, on every system.
        unproven: what the reference executor cannot prove.
        work: `module:function` that counts the work of a file, for a format that `lesionlite peers`
            cannot time.
        partitions: `module:function` that counts the pieces a runtime splits a file into, and
            returns `Partitions`; empty if nothing counts them.
        by_default: whether `export` writes it without being asked.
    """

    name: str
    title: str
    suffix: str
    precisions: tuple[str, ...]
    packages: tuple[str, ...]
    module: str = ""
    tensors: str = ""
    variant: str = ""
    arm: str = ""
    why_not_arm: str = "lesionlite has nothing that executes such files there"
    system: str = ""
    reference: str = ""
    unproven: str = "a phone's arithmetic"
    work: str = ""
    partitions: str = ""
    by_default: bool = True

    def toolchain(self) -> Toolchain:
        """The format's module, imported on first use."""
        import_triton()
        return cast(
            Toolchain, import_module(self.module or f"lesionlite.export.writers.to_{self.name}")
        )

    def convert(self, source: "Source", paths: dict[str, Path]) -> None:
        """Write files; see `Toolchain.convert`."""
        with lean():
            self.toolchain().convert(source, paths)

    @property
    def is_native_here(self) -> bool:
        """Whether this system has the format's own runtime."""
        return self.system in ("", platform.system())


def named_function(name: str) -> Any:
    """Import the function that a row of the table names as `module:function`."""
    import_triton()
    module, function = name.split(":")
    return getattr(import_module(module), function)


def import_triton() -> None:
    """Import Triton, if it is installed. Call this before anything can import TensorFlow.

    TensorFlow 2.20 and later make the symbols of their LLVM global. A Triton that is imported after
    them crashes the process (tensorflow issue 124205). CUDA builds of PyTorch bring Triton and
    import it late. This function can go when TensorFlow no longer opens its library with
    RTLD_GLOBAL.
    """
    with suppress(ImportError):
        import_module("triton")


def import_coremltools(module: str = "") -> Any:
    """A module of coremltools, imported without what it only looks for.

    coremltools (9.0) imports each installed package of `SOUGHT`, which takes five seconds in each
    process, to know whether it could convert that package's own networks. This function can go when
    coremltools waits until it needs them.

    Args:
        module: its name after "coremltools", such as ".proto".

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    logging.getLogger("coremltools").setLevel(logging.ERROR)  # untested versions of other packages
    hidden = [name for name in SOUGHT if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        return import_module("coremltools" + module)
    finally:
        for name in hidden:
            del sys.modules[name]
