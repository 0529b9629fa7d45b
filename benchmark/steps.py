"""What a build does: its stages, and the steps that are finished in its folder."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from lesionlite.benchmark.places import STEPS
from lesionlite.console import say
from lesionlite.documents import read_json, read_record
from lesionlite.errors import LesionliteError
from lesionlite.files import fingerprint, write_json
from lesionlite.layout import DATASET
from lesionlite.train.data.folders import find_images
from lesionlite.usage import Usage, in_about, in_minutes, measured


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


class Stages:
    """The stages of one build: says which of how many begins, what is left, what each needed."""

    def __init__(
        self,
        steps: FinishedSteps,
        plan: Mapping[str, bool],
        expect: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        """Plan the stages.

        Args:
            steps: has what each stage needed the last time in this folder.
            plan: whether each stage will run, by name, in order.
            expect: gives the seconds that stages may take, for those where that is known. It is
                called if a stage did not run in this folder before.
        """
        self._steps, self._names = steps, [name for name, runs in plan.items() if runs]
        self._expect = expect
        self._used: dict[str, Usage] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announce and measure a stage."""
        number = self._names.index(name) + 1
        last = self._steps.record.get(f"{name} took")
        shown = f"last time {last}{self._left(number)}" if last else self._outlook(number)
        say(f"step {number} of {len(self._names)}: {name}" + f" ({shown})" * bool(shown))
        with measured() as usage:
            yield
        self._used[name] = usage
        self._steps.done(f"{name} took", str(usage))

    def _left(self, number: int) -> str:
        """How long this stage and those after it took the last time, if there are several."""
        last = [self._steps.record.get(f"{name} took", "") for name in self._names[number - 1 :]]
        times = [re.match(r"(\d+):(\d+) min", text) for text in last]
        known = [60 * int(time[1]) + int(time[2]) for time in times if time]
        return f"; all that is left took {in_minutes(sum(known))}" * (1 < len(known) == len(last))

    @cached_property
    def _expected(self) -> Mapping[str, float]:
        return self._expect()

    def _outlook(self, number: int) -> str:
        """How long a stage and those after it may take, where that is known."""
        pace = 1.0  # this machine may be faster, or slower, as the latest stage has shown
        for done, usage in self._used.items():
            if done in self._expected:
                pace = usage.seconds / self._expected[done]
        own, *later = [pace * self._expected.get(name, 0) for name in self._names[number - 1 :]]
        if not all(later) or not later:
            return in_about(own) if own else ""
        if not own:
            return f"{' and '.join(self._names[number:])} after it: {in_about(sum(later))}"
        return f"{in_about(own)}; all that is left: {in_about(own + sum(later))}"

    def say_what_they_took(self) -> None:
        """Print the duration and the peak memory of each stage."""
        for name, usage in self._used.items():
            say(f"{name}: {usage}")


def data_listing(data: Path) -> str:
    """A fingerprint of the images and of dataset.json: names, sizes, modification times."""
    files: Sequence[Path] = [*find_images(data).files, data / DATASET]
    rows = [
        (file.relative_to(data).as_posix(), file.stat().st_size, file.stat().st_mtime_ns)
        for file in files
        if file.exists()
    ]
    return fingerprint([str(data.resolve()), rows])
