"""The other runtimes that apps embed for the same files: independent readings of one artifact.

`benchmark --runtimes` asks them all. Where two disagree, a file leans on what one of them does.
"""

import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.config import BenchmarkConfig
from benchmark.predictor import Predictor, open_by_reference
from export.formats import Runner, first_line, read_contract
from export.manifest import refuse_changed
from export.quiet import quiet
from train.contract import Contract
from train.errors import LesionliteError
from train.images import Pixels

Open = Callable[[Path, int, Contract], Runner]


def _tensorflow(path: Path, threads: int, contract: Contract) -> Runner:
    """Many apps still embed it."""
    import tensorflow as tf

    from export.to_tflite import runner

    interpreter = tf.lite.Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    return runner(interpreter, f"tensorflow {tf.__version__}")


def _no_xnnpack(path: Path, threads: int, contract: Contract) -> Runner:
    """LiteRT's built-in kernels, as in an app whose build has no XNNPACK."""
    from ai_edge_litert.interpreter import OpResolverType

    from export.to_tflite import open_interpreter, runner

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return runner(*open_interpreter(path, threads, experimental_op_resolver_type=plain))


def _mediapipe(path: Path, threads: int, contract: Contract) -> Runner:
    """Takes labels and normalization from the file's metadata; how many threads, it decides."""
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
    from export.to_onnx import load

    return load(path, 1)


def _unfused(path: Path, threads: int, contract: Contract) -> Runner:
    """What the nodes of the file say, one by one: no fused kernel stands in for several."""
    from export.to_onnx import open_session, runner

    return runner(*open_session(path, 1, fuse=False))


def _reference(path: Path, threads: int, contract: Contract) -> Runner:
    return open_by_reference(path, contract, threads).runner


@dataclass(frozen=True)
class Other:
    """Another runtime for files of one suffix; `package` is what it needs, as Python imports it."""

    suffix: str
    package: str
    open: Open


REFERENCE = "reference executor"
COREML = ".mlpackage"
OTHERS = {
    "TensorFlow's interpreter": Other(".tflite", "tensorflow", _tensorflow),
    "LiteRT without XNNPACK": Other(".tflite", "ai_edge_litert", _no_xnnpack),
    "MediaPipe": Other(".tflite", "mediapipe", _mediapipe),
    "ONNX Runtime, one thread": Other(".onnx", "onnxruntime", _one_thread),
    "ONNX Runtime, nothing fused": Other(".onnx", "onnxruntime", _unfused),
    REFERENCE: Other(COREML, "coremltools", _reference),
}


def usual_of(suffix: str, config: BenchmarkConfig) -> str:
    """The kind of `Candidate` that judges files of a suffix."""
    return REFERENCE if suffix == COREML and config.coreml_runtime == "reference" else "ours"


def others_of(suffix: str, config: BenchmarkConfig) -> list[str]:
    """The other runtimes that are asked, too."""
    if suffix == COREML:
        return [REFERENCE] if config.coreml_runtime == "both" else []
    return [name for name, row in OTHERS.items() if row.suffix == suffix and config.runtimes]


def refuse_missing(suffixes: Iterable[str], config: BenchmarkConfig) -> None:
    """Refuse what cannot be executed here, before any work is done.

    Raises:
        LesionliteError: naming the packages to install, or that Core ML is not here.
    """
    if config.coreml_runtime in ("native", "both") and platform.system() != "Darwin":
        raise LesionliteError(
            f"--coreml-runtime {config.coreml_runtime} needs Core ML, which only macOS has; "
            "leave it out, or choose reference"
        )
    packages = {OTHERS[name].package for suffix in suffixes for name in others_of(suffix, config)}
    if missing := sorted(name.replace("_", "-") for name in packages if find_spec(name) is None):
        raise LesionliteError(
            f"--runtimes asks runtimes that are not installed: pip install {' '.join(missing)}"
        )


def open_other(name: str, path: Path, threads: int) -> Predictor:
    """Open an artifact with a runtime of `OTHERS`.

    Raises:
        LesionliteError: no contract in the file, not the file that its manifest lists, or the
            runtime refuses it.
    """
    refuse_changed(path)
    contract = read_contract(path)
    try:
        with quiet():
            runner = OTHERS[name].open(path, threads, contract)
    except LesionliteError:
        raise
    except Exception as error:  # each runtime has its own
        raise LesionliteError(f"{path} cannot be executed: {first_line(error)}") from error
    return Predictor(contract, runner.runtime, name != REFERENCE, runner, path)
