"""Measure images per second: of the loader, of the training step, and of both together."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from lesionlite.console import say
from lesionlite.train.config import TrainConfig
from lesionlite.train.data.splits import read_dataset
from lesionlite.train.loop import Trainer

Batch = tuple[Tensor, Tensor, Tensor]
WARM = 2  # warm-up steps, which are not counted


@dataclass(frozen=True)
class Rates:
    """Images per second.

    Attributes:
        loader: decoding and augmenting alone.
        step: forward, backward and update alone, on one batch.
        both: as in training.
        plain_step: the step in float32, channels first; None if `step` is that already.
    """

    loader: float
    step: float
    both: float
    plain_step: float | None = None

    def sentences(self) -> list[str]:
        """The result in words."""
        slower = min(self.loader, self.step)
        words = [
            f"loader {self.loader:.0f} images/s, step {self.step:.0f}, both {self.both:.0f}: "
            f"{self.both / slower:.0%} of the slower one",
        ]
        if self.plain_step:
            words.append(
                f"the same step in float32, channels first: {self.plain_step:.0f} images/s "
                f"({self.step / self.plain_step:.1f} times as fast now)"
            )
        return words

    def document(self) -> dict[str, float | None]:
        """The result as a JSON document."""
        return asdict(self)


def profile(data: Path, config: TrainConfig, seconds: float = 20.0) -> Rates:
    """Measure on a data folder. Nothing is saved.

    Args:
        data: folder with train/ and val/.
        config: settings of training; weights and epochs are ignored.
        seconds: duration of each measurement.

    Raises:
        LesionliteError: bad data or settings.
    """
    dataset = read_dataset(data)
    contract = config.contract(dataset.labels)
    config = replace(config, weights="none", epochs=1000)
    with TemporaryDirectory() as scratch:
        trainer = Trainer(dataset, contract, config, Path(scratch))
        trainer.network.train()
        batches = _endless(trainer)
        loader = _rate(lambda: len(next(batches)[2]), seconds)
        ready = next(batches)

        def step(batch: Batch) -> int:
            pixels, targets, indices = batch
            trainer.step(pixels.to(trainer.device), targets.to(trainer.device), indices)
            return len(indices)

        alone = _rate(lambda: step(ready), seconds)
        both = _rate(lambda: step(next(batches)), seconds)
        plain = None
        if trainer.bf16:
            trainer.bf16 = False
            trainer.layout = torch.contiguous_format
            trainer.network.to(memory_format=trainer.layout)
            plain = _rate(lambda: step(ready), seconds)
    rates = Rates(loader, alone, both, plain)
    for sentence in rates.sentences():
        say(sentence)
    return rates


def _endless(trainer: Trainer) -> Iterator[Batch]:
    while True:
        yield from trainer.loader
        trainer.sampler.epoch += 1


def _rate(work: Callable[[], int], seconds: float) -> float:
    """Images per second of `work`, which returns its number of images."""
    for _ in range(WARM):
        work()
    images, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds or not images:
        images += work()
    return images / spent
