"""Open a run or any artifact and ask it for probabilities, with nothing but its own contract."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.formats import NoRuntime, Runner, open_runner, read_contract
from export.manifest import refuse_changed
from train.console import track
from train.contract import Contract
from train.errors import LesionliteError
from train.images import Pixels, decode, to_input
from train.layout import is_run
from train.settings import THREADS, are_threads, named_path


@dataclass(frozen=True)
class Predictor:
    """An opened run or artifact.

    Attributes:
        contract: read out of it.
        runtime: what executes it, with its version.
        native: False where a reference executor stands in for the format's own runtime.
        runner: from uint8 [S, S, 3] to float32 [C].
    """

    contract: Contract
    runtime: str
    native: bool
    runner: Runner

    def predict(self, images: "Pixels | Sequence[Path | str]") -> NDArray[np.float32]:
        """Probabilities of images.

        Args:
            images: uint8 [N, H, W, 3] RGB of any size, or N file paths; resized and cropped as
                the contract says.

        Returns:
            float32 [N, C], in the order of `contract.labels`.

        Raises:
            LesionliteError: images of another kind, or a file that cannot be decoded.
        """
        if isinstance(images, np.ndarray):
            if images.ndim != 4:
                raise LesionliteError(
                    f"images must be uint8 [N, H, W, 3], not {images.dtype} {list(images.shape)}"
                )
            inputs: Iterable[Pixels] = (to_input(image, self.contract) for image in images)
        else:
            files = [Path(image) for image in images]
            inputs = decode(files, self.contract)
        answers = [self.runner.classify(image) for image in inputs]
        if not answers:
            return np.empty((0, len(self.contract.labels)), np.float32)
        return np.stack(answers).astype(np.float32)

    def predict_inputs(
        self, inputs: Iterable[Pixels], total: int, description: str
    ) -> NDArray[np.float32]:
        """Probabilities of so many uint8 [S, S, 3] that are resized already, with progress."""
        images = track(inputs, description, total)
        return np.stack([self.runner.classify(image) for image in images]).astype(np.float32)


def load(path: "Path | str", threads: int = 2) -> Predictor:
    """Open a run folder (PyTorch, float32) or an artifact of any format.

    Args:
        path: what `train` or `export` wrote.
        threads: that the runtime may use.

    Raises:
        LesionliteError: nothing there, not one of ours, damaged, not executable here, or not the
            file that the manifest beside it lists; or a wrong number of threads.
    """
    path = named_path(path, "path")
    if not isinstance(threads, int) or not are_threads(threads):
        raise LesionliteError(f"threads is {threads!r}; it must be {THREADS}")
    refuse_changed(path)
    return open_unchecked(path, threads)


def open_unchecked(path: Path, threads: int) -> Predictor:
    """As `load`, of a file whose hash was checked before or does not matter."""
    if is_run(path):
        return _open_run(path, threads)
    contract = read_contract(path)
    try:
        return Predictor(contract, (r := open_runner(path, threads)).runtime, True, r)
    except NoRuntime:
        if path.suffix != ".mlpackage":
            raise
        return open_by_reference(path, contract, threads)


def _open_run(path: Path, threads: int) -> Predictor:
    import torch

    from train.model import load_run, predict_logits

    torch.set_num_threads(threads)
    network, contract = load_run(path)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def classify(image: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            pixels = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
            logits = predict_logits(network, pixels, contract) / contract.temperature
            return logits[0].softmax(-1).numpy()

    runtime = f"torch {torch.__version__} eager"
    return Predictor(contract, runtime, True, Runner(classify, runtime))


def open_by_reference(path: Path, contract: Contract, threads: int) -> Predictor:
    """A Core ML package by the executor of `benchmark.mil`, native or not."""
    import torch

    from benchmark import mil

    torch.set_num_threads(threads)
    program = mil.load(path)
    runtime = "lesionlite reference executor for Core ML"
    return Predictor(contract, runtime, False, Runner(program.probabilities, runtime))
