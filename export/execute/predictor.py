"""Open a run or an artifact and predict with it, from the contract inside it alone."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.console import track
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.finite import first_infinite_layer
from lesionlite.export.format import Runner
from lesionlite.export.formats import open_runner, read_contract
from lesionlite.export.manifest import missing_manifest_warning, refuse_changed
from lesionlite.layout import is_run
from lesionlite.settings import THREADS, are_threads, named_path
from lesionlite.train.calibrate.rejection import rejections
from lesionlite.train.data.images import Pixels, decode, to_input
from lesionlite.train.data.statistics import image_statistics


@dataclass(frozen=True)
class Answers:
    """A model's answers to N images.

    Attributes:
        probabilities: float32 [N, C], in the order of the contract's labels.
        rejected: whether each image is of another kind than those that the network has learned,
            bool [N]; None if the contract does not tell.
    """

    probabilities: NDArray[np.float32]
    rejected: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Predictor:
    """An opened run or artifact.

    Attributes:
        contract: the contract in the run or the file.
        runner: executes the run or the file.
        path: path of the run or the file.
        network: timm's network, if a run was opened; else None.
    """

    contract: Contract
    runner: Runner
    path: Path
    network: Any = None

    @property
    def runtime(self) -> str:
        """What executes it, with its version."""
        return self.runner.runtime

    @property
    def native(self) -> bool:
        """False if a reference executor stands in for the format's own runtime."""
        return self.runner.native

    @property
    def is_listed(self) -> bool:
        """Whether this is a run, or a file that a manifest lists."""
        return not missing_manifest_warning(self.path)

    def predict_one(self, image: Pixels, name: str) -> NDArray[np.float32]:
        """Probabilities float32 [C] of one image.

        Args:
            image: uint8 [S, S, 3], as the contract says.
            name: name of the image, for errors.

        Raises:
            LesionliteError: a probability is not finite; for a run, the error names the layer that
                is the first to give such values.
        """
        answer = np.asarray(self.runner.classify(image), np.float32)
        if np.isfinite(answer).all():
            return answer
        advice = "export it again in another precision, or from another run"
        if self.network is not None:
            import torch

            pixels = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
            layer = first_infinite_layer(self.network, pixels, self.contract)
            advice = f"layer {layer} is the first that is not; train again"
        raise LesionliteError(f"{self.path}: its answer to {name} is not finite; {advice}")

    def predict(self, images: "Pixels | Sequence[Path | str]") -> NDArray[np.float32]:
        """Probabilities of images.

        Args:
            images: uint8 [N, H, W, 3] RGB of any size, or N file paths. They are resized and
                cropped as the contract says.

        Returns:
            float32 [N, C], in the order of `contract.labels`.

        Raises:
            LesionliteError: the array has another type or shape, a file cannot be decoded, or a
                probability is not finite.
        """
        return self._predict(self._inputs(images))

    def answer(self, images: "Pixels | Sequence[Path | str]") -> Answers:
        """As `predict`, and whether each image is of the kind that the network has learned."""
        return self._answer(self._inputs(images))

    def _inputs(self, images: "Pixels | Sequence[Path | str]") -> Iterator[tuple[Pixels, str]]:
        """The inputs of the network, and a name for each."""
        if isinstance(images, np.ndarray):
            if images.ndim != 4:
                raise LesionliteError(
                    f"images must be uint8 [N, H, W, 3], not {images.dtype} {list(images.shape)}"
                )
            inputs: Iterable[Pixels] = (to_input(image, self.contract) for image in images)
            names = [f"image {index}" for index in range(len(images))]
        else:
            files = [Path(image) for image in images]
            inputs, names = decode(files, self.contract), [str(file) for file in files]
        yield from zip(inputs, names, strict=True)

    def _predict(self, named: Iterable[tuple[Pixels, str]]) -> NDArray[np.float32]:
        return self._stacked([self.predict_one(image, name) for image, name in named])

    def _answer(self, named: Iterable[tuple[Pixels, str]]) -> Answers:
        answers, described = [], [image_statistics(())]
        for image, name in named:  # all of them need not fit into memory
            answers.append(self.predict_one(image, name))
            if self.contract.rejection:
                described.append(image_statistics([image]))
        probabilities, statistics = self._stacked(answers), np.concatenate(described)
        return Answers(probabilities, rejections(self.contract, statistics, probabilities))

    def _stacked(self, answers: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.array(answers, np.float32).reshape(-1, len(self.contract.labels))

    def predict_inputs(
        self, inputs: Iterable[Pixels], total: int, description: str
    ) -> NDArray[np.float32]:
        """Probabilities, float32 [N, C], of images of the model's size, with a progress bar.

        Args:
            inputs: N images, uint8 [S, S, 3].
            total: number of images.
            description: text of the progress bar.

        Raises:
            LesionliteError: a probability is not finite.
        """
        return self._predict(_numbered(inputs, total, description))

    def answer_inputs(self, inputs: Iterable[Pixels], total: int, description: str) -> Answers:
        """As `predict_inputs`, and whether each image is of the kind."""
        return self._answer(_numbered(inputs, total, description))


def _numbered(
    inputs: Iterable[Pixels], total: int, description: str
) -> Iterator[tuple[Pixels, str]]:
    for index, image in enumerate(track(inputs, description, total)):
        yield image, f"image {index + 1} of {total}"


def load(path: "Path | str", threads: int = 2) -> Predictor:
    """Open a run folder (PyTorch, float32) or an artifact of any format.

    Args:
        path: the run folder or artifact.
        threads: the number of threads that the runtime may use.

    Raises:
        LesionliteError: the path is missing, damaged or of an unknown format, it differs from its
            manifest, its runtime refuses it, or `threads` is out of range.
    """
    path = named_path(path, "path")
    if not isinstance(threads, int) or not are_threads(threads):
        raise LesionliteError(f"threads is {threads!r}; it must be {THREADS}")
    refuse_changed(path)
    return open_unchecked(path, threads)


def open_unchecked(path: Path, threads: int) -> Predictor:
    """As `load`, but do not compare the file with its manifest."""
    if is_run(path):
        return _open_run(path, threads)
    contract = read_contract(path)
    return Predictor(contract, open_runner(path, threads), path)


def _open_run(path: Path, threads: int) -> Predictor:
    import torch

    from lesionlite.train.model import calibrated, load_run, predict_logits

    torch.set_num_threads(threads)
    network, contract = load_run(path)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def classify(image: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            pixels = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
            logits = calibrated(predict_logits(network, pixels, contract), contract)
            return logits[0].softmax(-1).numpy()

    runner = Runner(classify, f"torch {torch.__version__} eager")
    return Predictor(contract, runner, path, network)
