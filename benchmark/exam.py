"""The test images, and what every candidate answers to them: on disk, so that nothing is lost.

A test set may be larger than the memory and take hours. So images and answers lie in files, a
candidate's images are shared out over as many processes as there are cores, and whatever has been
answered stays until all is: the same command, run again, asks only for the rest.
"""

import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesionlite.benchmark.candidate import Candidate
from lesionlite.console import progress, say
from lesionlite.contract import Contract
from lesionlite.files import fingerprint, replacing, sha256_file
from lesionlite.train.data.images import decode, write_inputs
from lesionlite.train.data.splits import Split

WORTH_A_PROCESS = 200  # images: to open an artifact once more takes seconds


class Exam:
    """What every candidate is asked.

    Attributes:
        images: .npy file, uint8 [N, S, S, 3].
        names: of the images.
        truth: class indices [N].
        labels: of the classes, [C].
    """

    def __init__(self, folder: Path, split: Split, contract: Contract) -> None:
        """Resize the images, unless an interrupted exam of the same images left them in `folder`.

        Raises:
            LesionliteError: if an image cannot be decoded.
        """
        stats = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in split.files]
        self._folder = folder / fingerprint([stats, split.targets, contract.to_json()])[:16]
        for other in folder.glob("*"):
            if other != self._folder and _is_exam(other):  # of other images
                shutil.rmtree(other)
        self._cores = os.cpu_count() or 1
        self.images = self._folder / "images.npy"
        self.names = tuple(f"{file.parent.name}/{file.name}" for file in split.files)
        self.truth: NDArray[np.int64] = np.asarray(split.targets)
        self.labels = contract.labels
        if self.images.exists():
            say("going on where an interrupted benchmark stopped")
        else:
            inputs = decode(split.files, contract)
            write_inputs(self.images, inputs, len(split), "reading test images", ours=True)

    def ask(
        self, candidate: Candidate, name: str, images: Path | None = None
    ) -> NDArray[np.float32]:
        """Probabilities [N, C] under a progress bar, sharing the images out over processes.

        Args:
            candidate: opened.
            name: of the progress bar.
            images: the same images resized otherwise, if not `images`.

        Raises:
            CandidateFailed: saying why it cannot be done.
        """
        images = images or self.images
        answers = self._answers(candidate, images)
        left = np.flatnonzero(np.isnan(np.load(answers, mmap_mode="r")).any(1))
        with progress() as bar:
            total = len(self.truth)
            task = bar.add_task(name, total=total, completed=total - len(left), note="")
            if len(left):
                self._share_out(candidate, images, answers, left, lambda: bar.advance(task))
        return np.array(np.load(answers))

    def _answers(self, candidate: Candidate, images: Path) -> Path:
        """The file of its answers; what was not asked yet is NaN."""
        who = fingerprint([sha256_file(candidate.path), candidate.kind, images.name])
        path = self._folder / f"answers-{who[:16]}.npy"
        if not path.exists():
            with replacing(path, ours=True) as temporary:
                np.save(temporary, np.full((len(self.truth), len(self.labels)), np.nan, np.float32))
        return path

    def _share_out(
        self,
        candidate: Candidate,
        images: Path,
        answers: Path,
        left: NDArray[np.int64],
        advance: Callable[[], None],
    ) -> None:
        most = max(1, self._cores // candidate.threads)
        first, *shares = np.array_split(left, max(1, min(most, len(left) // WORTH_A_PROCESS)))

        def work(helper: Candidate, rows: NDArray[np.int64]) -> None:
            helper.open()
            helper.predict(images, answers, rows, advance)

        # The inner context ends first, and with it the helpers: nothing to wait for after Ctrl-C.
        with ThreadPoolExecutor(most) as pool, ExitStack() as stack:
            same = candidate.path, candidate.threads, candidate.kind
            helpers = [stack.enter_context(Candidate(*same)) for _ in shares]
            others = [pool.submit(work, *pair) for pair in zip(helpers, shares, strict=True)]
            candidate.predict(images, answers, first, advance)
            for other in others:
                other.result()

    def forget(self) -> None:
        """Delete what lies in the folder, and it too if nothing else does: all is asked."""
        shutil.rmtree(self._folder)
        if not any(self._folder.parent.iterdir()):
            self._folder.parent.rmdir()


def _is_exam(folder: Path) -> bool:
    """Whether a folder is an exam's, by its name and by what is in it."""
    if not re.fullmatch("[0-9a-f]{16}", folder.name) or folder.is_symlink():
        return False
    return folder.is_dir() and all(file.suffix == ".npy" for file in folder.iterdir())
