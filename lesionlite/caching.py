"""The user's cache folder, for files that can be made again."""

import time
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """The folder for files that can be recreated: ~/.cache/lesionlite on Linux."""
    return user_cache_path("lesionlite", appauthor=False)


def unused(folder: Path, pattern: str, days: int) -> Iterator[Path]:
    """The files of a folder that match a pattern and are older than so many days."""
    for file in folder.glob(pattern):
        if time.time() - file.stat().st_mtime > days * 86400:
            yield file
