"""The version of lesionlite that runs."""

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """Such as 0.1.0."""
    try:
        return version("lesionlite")
    except PackageNotFoundError:  # a checkout that was not installed
        return "of a checkout"
