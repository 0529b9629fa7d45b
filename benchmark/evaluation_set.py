"""The evaluation set: the test images, resized, and each candidate's answers, kept on disk.

A test set can be larger than memory and take hours to answer. Images and answers are therefore
files. Each candidate's images are divided among as many processes as there are cores. Answers stay
on disk until the benchmark ends, so an interrupted benchmark continues where it stopped.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lesionlite.benchmark.candidate import Candidate
from lesionlite.console import progress, say
from lesionlite.contract import Contract
from lesionlite.files import fingerprint, replacing, sha256_file
from lesionlite.outputs import MARK, is_ours, remove, remove_ours, writing_into
from lesionlite.train.calibrate.rejection import rejections
from lesionlite.train.data.images import Pixels, decode, write_inputs
from lesionlite.train.data.splits import Split
from lesionlite.train.data.statistics import image_statistics

if TYPE_CHECKING:
    from rich.progress import Progress

MIN_SHARE = 200  # images per helper process: opening an artifact again takes seconds


class EvaluationSet:
    """The images that every candidate answers.

    Attributes:
        images: .npy file, uint8 [N, S, S, 3].
        names: of the images.
        truth: class indices [N].
        labels: of the classes, [C].
    """

    def __init__(self, folder: Path, split: Split, contract: Contract) -> None:
        """Resize the images into `folder`, or reuse those of an interrupted benchmark.

        `folder` keeps a list of the files written here. Files of other evaluation sets are deleted
        if that list names them. No other file is deleted.

        Raises:
            LesionliteError: An image cannot be decoded, or another process writes into `folder`.
        """
        stats = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in split.files]
        key = fingerprint([stats, split.targets, contract.to_json()])[:16]
        self._folder, self._own = folder, folder / key
        self._cores = os.cpu_count() or 1
        self.images = self._own / "images.npy"
        self.names = tuple(f"{file.parent.name}/{file.name}" for file in split.files)
        self.truth: NDArray[np.int64] = np.asarray(split.targets)
        self.labels, self._contract = contract.labels, contract
        with writing_into(folder):
            remove_ours(folder, {key})
            if not (self.images.exists() and is_ours(self.images)):
                self.write("images", decode(split.files, contract), "reading test images")
            elif any(self._own.glob("answers-*.npy")):
                say("going on where an interrupted benchmark stopped")

    def pixels(self) -> Pixels:
        """The images, uint8 [N, S, S, 3], memory-mapped; the file stays as it is."""
        pixels: Pixels = np.load(self.images, mmap_mode="c")  # torch warns of read-only arrays
        return pixels

    @cached_property
    def _statistics(self) -> NDArray[np.float64]:
        return image_statistics(self.pixels())

    def rejects(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_] | None:
        """Whether each image is of another kind, [N]; None if the contract does not tell.

        Args:
            probabilities: answers to the images, [N, C].
        """
        if self._contract.rejection is None:
            return None
        return rejections(self._contract, self._statistics, probabilities)

    def write(
        self, name: str, inputs: Iterable[Pixels], description: str, total: int | None = None
    ) -> Path:
        """Write the images, resized in some way, or other images to the .npy file `name`.

        Args:
            name: of the file, without the suffix.
            inputs: uint8 [S, S, 3] for each image.
            description: of the progress bar.
            total: number of the images; by default as many as this set has.

        Returns:
            The file, uint8 [N, S, S, 3].
        """
        path = self._own / f"{name}.npy"
        with writing_into(self._folder):
            write_inputs(path, inputs, len(self.truth) if total is None else total, description)
        return path

    def ask(
        self,
        candidate: Candidate,
        name: str,
        images: Path | None = None,
        rows: Sequence[int] | None = None,
        bar: "Progress | None" = None,
    ) -> NDArray[np.float32]:
        """Probabilities, with a progress bar.

        Args:
            candidate: opened.
            name: of the progress bar.
            images: a file of `write`; by default `self.images`.
            rows: indices of the images to classify; by default all.
            bar: shows the progress of several candidates that are asked at the same time; without
                it, several processes answer for this one.

        Returns:
            float32 [N, C], or [R, C] for R rows.

        Raises:
            CandidateFailed: The candidate cannot answer; the text says why.
        """
        images = images or self.images
        answers = self._answers(candidate, images)
        known = np.load(answers, mmap_mode="r")
        asked = np.arange(len(known)) if rows is None else np.array(rows, np.int64)
        left = asked[np.isnan(known[asked]).any(1)]
        with nullcontext(bar) if bar else progress() as shown:
            total = len(asked)
            task = shown.add_task(name, total=total, completed=total - len(left), note="")
            if len(left):
                most = 1 if bar else max(1, self._cores // candidate.threads)
                advance = partial(shown.advance, task)
                self._divide(candidate, images, answers, left, most, advance)
        return np.array(np.load(answers)[asked])

    def _answers(self, candidate: Candidate, images: Path) -> Path:
        """The file with the candidate's answers; NaN marks an image that was not answered yet."""
        key = fingerprint([sha256_file(candidate.path), asdict(candidate.opener), images.name])
        path = self._own / f"answers-{key[:16]}.npy"
        if not (path.exists() and is_ours(path)):
            shape = len(np.load(images, mmap_mode="r")), len(self.labels)
            with writing_into(self._folder), replacing(path) as temporary:
                np.save(temporary, np.full(shape, np.nan, np.float32))
        return path

    def _divide(
        self,
        candidate: Candidate,
        images: Path,
        answers: Path,
        left: NDArray[np.int64],
        most: int,
        advance: Callable[[], None],
    ) -> None:
        """Divide the images that are left among the candidate and helpers, `most` in all."""
        first, *shares = np.array_split(left, max(1, min(most, len(left) // MIN_SHARE)))

        def work(helper: Candidate, rows: NDArray[np.int64]) -> None:
            helper.open()
            helper.predict(images, answers, rows, advance)

        # The inner context exits first and kills the helpers, so Ctrl-C does not wait for them.
        with ThreadPoolExecutor(most) as pool, ExitStack() as stack:
            same = candidate.path, candidate.threads, candidate.opener
            helpers = [stack.enter_context(Candidate(*same)) for _ in shares]
            others = [pool.submit(work, *pair) for pair in zip(helpers, shares, strict=True)]
            candidate.predict(images, answers, first, advance)
            for other in others:
                other.result()

    def delete(self) -> None:
        """Delete the files written here, and the folder unless it holds something else."""
        with writing_into(self._folder):
            remove_ours(self._folder, ())
            if [path.name for path in self._folder.iterdir()] == [MARK]:
                remove(self._folder)
