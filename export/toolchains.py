"""The versions of every package that decides an artifact's bytes or a report's numbers."""

from importlib.metadata import PackageNotFoundError, version

from lesionlite.export.formats import FORMATS

COMMON = ("flatbuffers", "protobuf", "numpy", "pillow", "torchvision")
"""Packages that no single format needs: serializers, arrays, image files, and timm's operators."""


def toolchains() -> tuple[str, ...]:
    """The names of the packages, as pip knows them."""
    of_formats = [package for row in FORMATS.values() for package in row.packages]
    return tuple(dict.fromkeys(("lesionlite", "torch", "timm", *of_formats, *COMMON)))


def versions() -> dict[str, str]:
    """Version by package, in a fixed order; "" for one that is not installed."""

    def of(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return ""

    return {name: of(name) for name in toolchains()}
