"""Other runtimes that apps embed for the same files; `benchmark --runtimes` executes them all.

If two runtimes disagree, a file depends on the behaviour of one of them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from lesionlite.benchmark.candidate import OURS
from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.protocol import Opener
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.execute.predictor import Predictor
from lesionlite.export.format import Format, Runner, named_function
from lesionlite.export.formats import FORMATS, first_line, format_of, read_contract
from lesionlite.export.manifest import refuse_changed
from lesionlite.export.quiet import quiet
from lesionlite.train.data.images import Pixels

Open = Callable[[Path, int, Contract], Runner]


def _tensorflow(path: Path, threads: int, contract: Contract) -> Runner:
    """Many apps still embed it."""
    import tensorflow as tf

    from lesionlite.export.to_tflite import runner

    interpreter = tf.lite.Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    return runner(interpreter, f"tensorflow {tf.__version__}")


def _no_xnnpack(path: Path, threads: int, contract: Contract) -> Runner:
    """LiteRT's built-in kernels, as in an app whose build has no XNNPACK."""
    from ai_edge_litert.interpreter import OpResolverType

    from lesionlite.export.to_tflite import open_interpreter, runner

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return runner(*open_interpreter(path, threads, experimental_op_resolver_type=plain))


def _mediapipe(path: Path, threads: int, contract: Contract) -> Runner:
    """Reads labels and normalization from the file's metadata, and chooses the threads itself."""
    import mediapipe

    vision = mediapipe.tasks.vision
    base = mediapipe.tasks.BaseOptions(model_asset_path=str(path))
    options = vision.ImageClassifierOptions(base_options=base, max_results=-1)
    classifier = vision.ImageClassifier.create_from_options(options)

    def classify(image: Pixels) -> Any:
        given = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)
        (head,) = classifier.classify(given).classifications
        found = {category.category_name: category.score for category in head.categories}
        return np.array([found[label] for label in contract.labels], np.float32)

    return Runner(classify, f"mediapipe {version('mediapipe')}")


def _one_thread(path: Path, threads: int, contract: Contract) -> Runner:
    from lesionlite.export.to_onnx import load

    return load(path, 1)


def _unfused(path: Path, threads: int, contract: Contract) -> Runner:
    """Executes the nodes of the file one by one, without fused kernels."""
    from lesionlite.export.to_onnx import open_session, runner

    return runner(*open_session(path, 1, fuse=False))


def _reference(path: Path, threads: int, contract: Contract) -> Runner:
    runner: Runner = named_function(format_of(path).reference)(path, threads)
    return runner


@dataclass(frozen=True)
class Other:
    """Another runtime for files of one suffix; `package` is what it needs, as Python imports it."""

    suffix: str
    package: str
    open: Open


REFERENCE = "reference executor"
OTHERS = {
    "TensorFlow's interpreter": Other(".tflite", "tensorflow", _tensorflow),
    "LiteRT without XNNPACK": Other(".tflite", "ai_edge_litert", _no_xnnpack),
    "MediaPipe": Other(".tflite", "mediapipe", _mediapipe),
    "ONNX Runtime, one thread": Other(".onnx", "onnxruntime", _one_thread),
    "ONNX Runtime, nothing fused": Other(".onnx", "onnxruntime", _unfused),
}


def opener_of(name: str) -> Opener:
    """What opens an artifact in a worker: "ours", or a name of `OTHERS` or `REFERENCE`."""
    if name == "ours":
        return OURS
    return Opener("lesionlite.benchmark.elsewhere.runtimes:open_other", {"name": name})


def usual_of(row: Format | None, config: BenchmarkConfig) -> str:
    """What opens files of a format when they are judged; see `opener_of`."""
    return REFERENCE if row and row.reference and config.coreml_runtime == "reference" else "ours"


def others_of(row: Format, config: BenchmarkConfig) -> list[str]:
    """The other runtimes that are asked, too."""
    if row.reference:
        return [REFERENCE] if config.coreml_runtime == "both" else []
    return [name for name, one in OTHERS.items() if one.suffix == row.suffix and config.runtimes]


def refuse_missing(formats: Iterable[Format], config: BenchmarkConfig) -> None:
    """Refuse what cannot be executed here, before any work is done.

    Raises:
        LesionliteError: naming the packages to install, or that Core ML is not here.
    """
    native = all(row.is_native_here for row in FORMATS.values() if row.reference)
    if config.coreml_runtime in ("native", "both") and not native:
        raise LesionliteError(
            f"--coreml-runtime {config.coreml_runtime} needs Core ML, which only macOS has; "
            "leave it out, or choose reference"
        )
    asked = {name for row in formats for name in others_of(row, config)} - {REFERENCE}
    packages = {OTHERS[name].package for name in asked}
    if missing := sorted(name.replace("_", "-") for name in packages if find_spec(name) is None):
        raise LesionliteError(
            f"--runtimes asks runtimes that are not installed ({', '.join(missing)}): "
            "pip install 'lesionlite[runtimes]'"
        )


def open_other(name: str, path: Path, threads: int) -> Predictor:
    """Open an artifact with a runtime of `OTHERS`, or with its format's reference executor.

    Raises:
        LesionliteError: no contract in the file, not the file that its manifest lists, or the
            runtime refuses it.
    """
    refuse_changed(path)
    contract = read_contract(path)
    open_file = _reference if name == REFERENCE else OTHERS[name].open
    try:
        with quiet():
            runner = open_file(path, threads, contract)
    except LesionliteError:
        raise
    except Exception as error:  # each runtime has its own
        raise LesionliteError(f"{path} cannot be executed: {first_line(error)}") from error
    return Predictor(contract, runner, path)
