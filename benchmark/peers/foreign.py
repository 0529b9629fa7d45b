"""Open a file of another toolchain to time it, with an input of random numbers."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.benchmark.protocol import Opener
from lesionlite.benchmark.subject import Timed
from lesionlite.errors import LesionliteError, first_line
from lesionlite.export.manifest import refuse_changed
from lesionlite.export.quiet import quiet

Input = NDArray[Any]


def foreign(shape: Sequence[int], dtype: str = "float32") -> Opener:
    """What opens a foreign file in a worker; the arguments as for `open_foreign`."""
    arguments = {"shape": list(shape), "dtype": dtype}
    return Opener("lesionlite.benchmark.peers.foreign:open_foreign", arguments)


def open_foreign(path: Path, threads: int, shape: Sequence[int], dtype: str = "float32") -> Timed:
    """Open a file by its suffix.

    Args:
        path: `.onnx`, `.tflite`, `.pt`, `.pte` or `.aimodel`.
        threads: That the runtime may use.
        shape: Of the input, for `.pt`, `.pte` and `.aimodel`; the other files tell theirs.
        dtype: Of the input, for the same.

    Raises:
        LesionliteError: No runtime here executes files of that suffix, or it is an artifact of ours
            and not the file that its manifest lists, or the runtime refuses it.
    """
    if path.suffix not in OPENERS:
        known = ", ".join(OPENERS)
        raise LesionliteError(f"nothing here executes {path.name}; can be timed: {known}")
    refuse_changed(path)
    try:
        with quiet():
            return OPENERS[path.suffix](path, threads, noise(tuple(shape), np.dtype(dtype)))
    except Exception as error:  # each runtime has its own
        raise LesionliteError(f"{path.name} cannot be opened: {first_line(error)}") from error


def noise(shape: tuple[int, ...], dtype: Any) -> Any:
    """Random numbers, which no runtime can shortcut: in 0..1, or over the range of the integers."""
    generator = np.random.default_rng(0)
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return generator.random(shape).astype(dtype)


def _onnx(path: Path, threads: int, image: Input) -> Timed:
    from lesionlite.export.writers.to_onnx import open_session

    session, runtime = open_session(path, threads)
    (given,) = session.get_inputs()
    kinds = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
    feed = {given.name: noise(tuple(given.shape), kinds[given.type])}
    return Timed(lambda: session.run(None, feed), runtime)


def _tflite(path: Path, threads: int, image: Input) -> Timed:
    from lesionlite.export.writers.to_tflite import open_interpreter

    interpreter, runtime = open_interpreter(path, threads)
    (source,) = interpreter.get_input_details()
    result = interpreter.get_output_details()[0]["index"]
    given = noise(tuple(source["shape"]), source["dtype"])

    def query() -> object:
        interpreter.set_tensor(source["index"], given)
        interpreter.invoke()
        return interpreter.get_tensor(result)

    return Timed(query, runtime)


def _torchscript(path: Path, threads: int, image: Input) -> Timed:
    import torch

    torch.set_num_threads(threads)
    module = torch.jit.load(str(path))
    given = torch.from_numpy(image)

    def query() -> object:
        with torch.inference_mode():
            return module(given)

    return Timed(query, f"torch {torch.__version__} TorchScript")


def _executorch(path: Path, threads: int, image: Input) -> Timed:
    import torch

    from lesionlite.export.writers.to_executorch import size_pool

    runtime: Any = import_module("executorch.runtime")
    size_pool(threads)
    method = runtime.Runtime.get().load_program(path).load_method("forward")
    given = torch.from_numpy(image)
    from importlib.metadata import version

    return Timed(lambda: method.execute([given]), f"executorch {version('executorch')}")


def _coreai(path: Path, threads: int, image: Input) -> Timed:
    from lesionlite.export.writers.to_coreai import open_program

    run, runtime = open_program(path)
    return Timed(lambda: run(image), runtime)


OPENERS: dict[str, Callable[[Path, int, Input], Timed]] = {
    ".onnx": _onnx,
    ".tflite": _tflite,
    ".pt": _torchscript,
    ".pte": _executorch,
    ".aimodel": _coreai,
}
