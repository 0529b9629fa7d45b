"""What a build has done: steps, each with a fingerprint of its inputs."""

from pathlib import Path

from lesionlite.benchmark.places import STEPS
from lesionlite.console import say
from lesionlite.documents import read_json, read_record
from lesionlite.errors import LesionliteError
from lesionlite.files import write_json


class FinishedSteps:
    """The steps that are finished in a folder, each with a fingerprint of its inputs."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / STEPS
        self.record: dict[str, str] = {}
        try:
            if read_json(self.file) is not None:
                self.record = read_record(self.file, dict[str, str])
        except LesionliteError as error:
            say(f"{error}; every step is checked again")

    def is_done(self, name: str, key: str) -> bool:
        """Whether the step finished with these inputs."""
        return self.record.get(name) == key

    def done(self, name: str, key: str) -> None:
        """Record that the step finished."""
        self.record[name] = key
        write_json(self.file, self.record)
