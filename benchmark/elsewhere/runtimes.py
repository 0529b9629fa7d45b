"""Other runtimes that apps embed for the same files; `benchmark --runtimes` uses all of them.

If two runtimes disagree about a file, it depends on the behaviour of one of them.
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
from lesionlite.errors import LesionliteError, first_line
from lesionlite.export.execute.predictor import Predictor
from lesionlite.export.format import Format, Runner, named_function
from lesionlite.export.formats import FORMATS, format_of, read_contract
from lesionlite.export.manifest import refuse_changed
from lesionlite.export.quiet import quiet
from lesionlite.train.data.images import Pixels

OpenRunner = Callable[[Path, int, Contract], Runner]


def _tensorflow(path: Path, threads: int, contract: Contract) -> Runner:
    """TensorFlow's own interpreter, which many apps still embed."""
    import tensorflow as tf

    from lesionlite.export.writers.to_tflite import runner

    interpreter = tf.lite.Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    return runner(interpreter, f"tensorflow {tf.__version__}")


def _no_xnnpack(path: Path, threads: int, contract: Contract) -> Runner:
    """LiteRT's built-in kernels, as in an app whose build has no XNNPACK."""
    from ai_edge_litert.interpreter import OpResolverType

    from lesionlite.export.writers.to_tflite import open_interpreter, runner

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return runner(*open_interpreter(path, threads, experimental_op_resolver_type=plain))


def _mediapipe(path: Path, threads: int, contract: Contract) -> Runner:
    """MediaPipe; it reads labels and normalization from the metadata, and chooses the threads."""
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
    from lesionlite.export.writers.to_onnx import load

    return load(path, 1)


def _unfused(path: Path, threads: int, contract: Contract) -> Runner:
    """ONNX Runtime without fused kernels: it executes the nodes of the file one by one."""
    from lesionlite.export.writers.to_onnx import open_session, runner

    return runner(*open_session(path, 1, fuse=False))


def _reference(path: Path, threads: int, contract: Contract) -> Runner:
    runner: Runner = named_function(format_of(path).reference)(path, threads)
    return runner


def _core_ml(path: Path, threads: int, contract: Contract) -> Runner:
    """The same network and precision as a Core ML file: two readings of Apple's arithmetic."""
    twin = path.with_suffix(FORMATS["coreml"].suffix)
    refuse_changed(twin)
    return _reference(twin, threads, contract)


@dataclass(frozen=True)
class OtherRuntime:
    """Another runtime for files of one suffix.

    Attributes:
        suffix: Of the files.
        package: Import name of what it needs.
        open: Opens a file.
        twin: Suffix of the file beside it that is executed in its place; empty if it is executed
            itself.
    """

    suffix: str
    package: str
    open: OpenRunner
    twin: str = ""

    def can_open(self, file: Path) -> bool:
        """Whether a file's twin is there, and can be executed; always, if it needs none."""
        if not self.twin:
            return True
        return file.with_suffix(self.twin).exists() and find_spec(self.package) is not None


REFERENCE = "reference executor"
OTHERS = {
    "TensorFlow's interpreter": OtherRuntime(".tflite", "tensorflow", _tensorflow),
    "LiteRT without XNNPACK": OtherRuntime(".tflite", "ai_edge_litert", _no_xnnpack),
    "MediaPipe": OtherRuntime(".tflite", "mediapipe", _mediapipe),
    "ONNX Runtime, one thread": OtherRuntime(".onnx", "onnxruntime", _one_thread),
    "ONNX Runtime, nothing fused": OtherRuntime(".onnx", "onnxruntime", _unfused),
    "Core ML's file": OtherRuntime(".aimodel", "coremltools", _core_ml, ".mlpackage"),
}


def opener_of(name: str) -> Opener:
    """The opener of a runtime by name: "ours", a key of `OTHERS`, or `REFERENCE`."""
    if name == "ours":
        return OURS
    return Opener("lesionlite.benchmark.elsewhere.runtimes:open_other", {"name": name})


def usual_runtime(row: Format | None, config: BenchmarkConfig) -> str:
    """The name of the runtime with which files of a format are judged; see `opener_of`."""
    return REFERENCE if row and row.reference and config.coreml_runtime == "reference" else "ours"


def is_reference(row: Format | None, config: BenchmarkConfig) -> bool:
    """Whether a reference executor executes files of a format here."""
    if row is None or not row.reference:
        return False
    return usual_runtime(row, config) == REFERENCE or not row.is_native_here


def other_runtimes(row: Format, config: BenchmarkConfig) -> list[str]:
    """The names of the other runtimes that execute files of a format, too."""
    if row.reference:
        return [REFERENCE] if config.coreml_runtime == "both" else []
    return [name for name, one in OTHERS.items() if one.suffix == row.suffix and config.runtimes]


def runtimes_for(file: Path, config: BenchmarkConfig) -> list[str]:
    """The names of the other runtimes that can execute a file here, too."""
    names = other_runtimes(format_of(file), config)
    return [name for name in names if name == REFERENCE or OTHERS[name].can_open(file)]


def refuse_missing(formats: Iterable[Format], config: BenchmarkConfig) -> None:
    """Refuse settings that need a runtime that is missing here.

    Raises:
        LesionliteError: It names the packages to install, or says that Core ML is missing.
    """
    native = all(row.is_native_here for row in FORMATS.values() if row.reference)
    if config.coreml_runtime in ("native", "both") and not native:
        raise LesionliteError(
            f"--coreml-runtime {config.coreml_runtime} needs Core ML, which only macOS has; "
            "leave it out, or choose reference"
        )
    names = {name for row in formats for name in other_runtimes(row, config)} - {REFERENCE}
    packages = {OTHERS[name].package for name in names if not OTHERS[name].twin}
    if missing := sorted(name.replace("_", "-") for name in packages if find_spec(name) is None):
        raise LesionliteError(
            f"--runtimes needs runtimes that are not installed ({', '.join(missing)}): "
            "pip install 'lesionlite[runtimes]'"
        )


def open_other(name: str, path: Path, threads: int) -> Predictor:
    """Open an artifact with a runtime of `OTHERS`, or with its format's reference executor.

    Raises:
        LesionliteError: There is no contract in the file, it differs from what its manifest lists,
            or the runtime refuses it.
    """
    refuse_changed(path)
    contract = read_contract(path)
    open_file = _reference if name == REFERENCE else OTHERS[name].open
    try:
        with quiet():
            runner = open_file(path, threads, contract)
    except LesionliteError:
        raise
    except Exception as error:  # each runtime has its own exceptions
        raise LesionliteError(f"{path} cannot be executed: {first_line(error)}") from error
    return Predictor(contract, runner, path)
