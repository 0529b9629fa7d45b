"""The versions of everything that decides an artifact's bytes."""

from importlib.metadata import PackageNotFoundError, version

TOOLCHAINS = (
    "lesionlite",
    "torch",
    "timm",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "litert-torch",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "coremltools",
    "executorch",
    "flatbuffers",
    "protobuf",
    "numpy",
)


def versions() -> dict[str, str]:
    """Version by package, in a fixed order; "" for one that is not installed."""

    def of(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return ""

    return {name: of(name) for name in TOOLCHAINS}
