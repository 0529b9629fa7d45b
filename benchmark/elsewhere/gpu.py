"""Execute TFLite files with LiteRT's GPU accelerator (WebGPU, on Vulkan).

On a machine without a GPU, a software driver such as SwiftShader executes the same shaders.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from lesionlite.benchmark.elsewhere.machine import other_machine
from lesionlite.benchmark.protocol import Opener
from lesionlite.errors import LesionliteError, first_line
from lesionlite.export.execute.predictor import Predictor
from lesionlite.export.format import Runner
from lesionlite.export.formats import read_contract
from lesionlite.train.data.images import Pixels

DRIVERS = "VK_DRIVER_FILES", "VK_ICD_FILENAMES"  # the Vulkan loader's variables, new and old
FOLDERS = Path("/usr/share/vulkan/icd.d"), Path("/etc/vulkan/icd.d")
SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")  # part of Debian's chromium
GPU_OPENER = Opener("lesionlite.benchmark.elsewhere.gpu:open_on_gpu", emulated=True)


def refuse_no_gpu() -> None:
    """Refuse a machine on which LiteRT's GPU accelerator cannot run.

    Raises:
        LesionliteError: It is not Linux on x86-64, a package is missing, or a Vulkan driver; the
            error says which.
    """
    if here := other_machine():
        raise LesionliteError(
            f"lesionlite runs LiteRT's GPU accelerator on Linux on x86-64 only, not on "
            f"{here}; leave --gpu out, or use such a machine or container"
        )
    if find_spec("ai_edge_litert") is None:
        raise LesionliteError(
            "the GPU needs a package that is not installed (ai-edge-litert): "
            "pip install 'lesionlite[gpu]'"
        )
    named = any(os.environ.get(name) for name in DRIVERS)
    if find_library("vulkan") is None or not (named or _drivers()):
        raise LesionliteError(
            "the GPU needs a Vulkan driver, and this machine has none; on Debian and Ubuntu, "
            "install libvulkan1 and chromium, which brings the software driver SwiftShader"
        )


def _drivers() -> list[Path]:
    """The Vulkan drivers of this machine. SwiftShader is the last: others may lack a feature."""
    found = [file for folder in FOLDERS for file in sorted(folder.glob("*.json"))]
    return [*found, *(file for file in (SWIFTSHADER,) if file.is_file())]


def open_on_gpu(path: Path, threads: int) -> Predictor:
    """Open a TFLite artifact wholly on the GPU; the worker checks its hash first.

    Args:
        path: The artifact.
        threads: Not used; the GPU chooses itself.

    Raises:
        LesionliteError: The accelerator does not take every operation; the error has its reason.
    """
    contract = read_contract(path)
    model, log = open_model(path)
    if model is None:
        why = first_line(refusal(log) or "no reason was given")
        raise LesionliteError(f"LiteRT's GPU accelerator refuses {path}: {why}")
    given, made = model.create_input_buffers(0), model.create_output_buffers(0)

    def classify(image: Pixels) -> Any:
        given[0].write(np.ascontiguousarray(image[None]))
        model.run_by_index(0, given, made)
        return made[0].read(len(contract.labels), np.float32)

    return Predictor(contract, Runner(classify, "LiteRT GPU (WebGPU on Vulkan)"), path)


def open_model(path: Path) -> tuple[Any, str]:
    """LiteRT's compiled model on the GPU, None if it is refused, and what LiteRT logged.

    Call it in a process of its own, because the accelerator leaks and may crash.
    """
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator

    if not any(os.environ.get(name) for name in DRIVERS):
        os.environ[DRIVERS[1]] = os.pathsep.join(map(str, _drivers()))
    with _logged() as log:
        try:
            model = CompiledModel.from_file(str(path), hardware_accel=HardwareAccelerator.GPU)
        except RuntimeError as error:
            return None, f"{log()}\n{error}"
        return (model if model.is_fully_accelerated() else None), log()


def refusal(log: str) -> str:
    """Why the accelerator refused a file, out of LiteRT's log; "" if the log does not tell."""
    lines = log.splitlines()
    marks = ("Not supported", "not supported by GPU", "No adapters", "Failed to create")
    for mark in marks:
        if found := [line for line in lines if mark in line]:
            return found[0].split("] ")[-1].strip()
    return ""


@contextmanager
def _logged() -> Iterator[Any]:
    """Inside the block, C++ code's standard error goes to a file; the value reads it."""
    kept = os.dup(2)
    with TemporaryFile() as file:
        os.dup2(file.fileno(), 2)

        def read() -> str:
            file.seek(0)
            return file.read().decode(errors="replace")

        try:
            yield read
        finally:
            os.dup2(kept, 2)
            os.close(kept)
