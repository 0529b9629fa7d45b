"""The versions of everything that decides an artifact's bytes, or what a benchmark finds."""

from importlib.metadata import PackageNotFoundError, version

from lesionlite.export.formats import FORMATS

NETWORK = ("lesionlite", "torch", "torchvision", "timm", "numpy", "pillow")
SERIALIZERS = ("flatbuffers", "protobuf")  # of several formats
TOOLCHAINS = tuple(
    dict.fromkeys(
        (*NETWORK, *(name for row in FORMATS.values() for name in row.packages), *SERIALIZERS)
    )
)
"""Packages as pip knows them. A step of `build` runs again when one of their versions changes."""


def versions() -> dict[str, str]:
    """Version by package, in a fixed order; "" for one that is not installed."""
    return {name: _version(name) for name in TOOLCHAINS}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
