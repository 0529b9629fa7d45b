"""The table of targets. A new target is a module with a function that judges a file, and a row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from lesionlite.benchmark.targets.snapdragon import SNAPDRAGONS
from lesionlite.errors import unknown_choice

_HERE = "lesionlite.benchmark.targets"


@dataclass(frozen=True)
class Compiler:
    """What compiles a file for a target.

    Attributes:
        function: `module:function`, which gets the file, the target's name and the file to write.
            It runs in a process of its own, and raises LesionliteError unless the target takes the
            file wholly.
        packages: That hold the compiler. The manifest lists their versions.
    """

    function: str
    packages: tuple[str, ...]

    def versions(self) -> str:
        """The packages with their versions."""
        return ", ".join(f"{package} {version(package)}" for package in self.packages)


@dataclass(frozen=True)
class Target:
    """One row of the table.

    Attributes:
        name: On the command line.
        title: In reports.
        judges: By suffix of a file: `module:function`, which gets the file and the target's name,
            and returns a `Verdict`. It runs in a process of its own.
        compilers: By suffix of a file: what `lesionlite compile` compiles it with.
        by_default: Whether it is judged without being named.
    """

    name: str
    title: str
    judges: Mapping[str, str] = field(default_factory=dict)
    by_default: bool = True
    compilers: Mapping[str, Compiler] = field(default_factory=dict)


_SNAPDRAGON = {
    ".onnx": f"{_HERE}.onnx_on_hexagon:judge",
    ".tflite": f"{_HERE}.tflite_on_hexagon:judge",
}
_COMPILERS = {
    ".onnx": Compiler(f"{_HERE}.onnx_on_hexagon:compile_file", ("onnxruntime-qnn",)),
    ".tflite": Compiler(
        f"{_HERE}.tflite_on_hexagon:compile_file", ("ai-edge-litert", "onnxruntime-qnn")
    ),
}
_FLAGSHIP, _MID_RANGE, _OLD = "sm8650", "sm7550", "sm8350"
_VENDOR = {".tflite": f"{_HERE}.vendor:judge"}
_ROWS = (
    *(
        Target(
            row.name,
            f"{row.title} NPU",
            _SNAPDRAGON,
            row.name in (_FLAGSHIP, _MID_RANGE, _OLD),
            _COMPILERS,
        )
        for row in SNAPDRAGONS.values()
    ),
    Target("gpu", "LiteRT GPU", {".tflite": f"{_HERE}.litert_gpu:judge"}),
    Target(
        "xnnpack",
        "XNNPACK (CPU)",
        {
            ".tflite": f"{_HERE}.xnnpack:judge_tflite",
            ".pte": f"{_HERE}.xnnpack:judge_executorch",
        },
    ),
    Target("mediatek", "MediaTek NPU", _VENDOR),
    Target("tensor", "Google Tensor TPU", _VENDOR),
    Target("neural-engine", "Neural Engine", {".mlpackage": f"{_HERE}.neural_engine:judge"}),
)
TARGETS = {row.name: row for row in _ROWS}
BY_DEFAULT = tuple(row.name for row in _ROWS if row.by_default)


def find_targets(names: Iterable[str]) -> list[Target]:
    """The rows with these names.

    Raises:
        LesionliteError: There is none of a name; the error lists the names.
    """
    for name in names:
        if name not in TARGETS:
            raise unknown_choice("target", name, TARGETS)
    return [TARGETS[name] for name in names]
