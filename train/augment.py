"""Training images: decoded, randomly cropped, flipped and jittered. Knows torchvision."""

import os
import signal
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from lesionlite.contract import Contract
from lesionlite.train.config import TrainConfig
from lesionlite.train.data.cache import cached_pixels
from lesionlite.train.data.decoding import open_image
from lesionlite.train.data.splits import Split
from lesionlite.train.imbalance import sampling_weights
from lesionlite.train.model import declare_torchvision_operators
from lesionlite.train.ranks import SINGLE, Ranks, first_on_machine

Loader = DataLoader[tuple[Tensor, Tensor, Tensor]]


class TrainingImages(TorchDataset[tuple[Tensor, int, int]]):
    """Augmented images as uint8 [3, S, S] with their class index and their place in the split."""

    def __init__(
        self, split: Split, contract: Contract, config: TrainConfig, ranks: Ranks = SINGLE
    ) -> None:
        declare_torchvision_operators()
        from torchvision.transforms import v2

        self.split = split
        jitter = dict.fromkeys(("brightness", "contrast", "saturation"), config.jitter)
        bilinear = v2.InterpolationMode.BILINEAR
        self.pixels = None
        if config.cache:
            self.pixels = first_on_machine(ranks, lambda: cached_pixels(split.files, contract))
        self.transform = v2.Compose(
            [
                *([v2.RandomRotation(config.rotation, bilinear)] if config.rotation else []),
                v2.RandomResizedCrop(contract.side, scale=(config.crop, 1.0), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomVerticalFlip(),
                v2.ColorJitter(**jitter),
            ]
        )
        self.to_tensor = v2.PILToTensor()

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        if self.pixels is None:
            image = self.to_tensor(open_image(self.split.files[index]))
        else:
            image = torch.from_numpy(self.pixels[index].copy()).permute(2, 0, 1)
        return self.transform(image), self.split.targets[index], index


class EpochSampler(torch.utils.data.Sampler[int]):
    """Draws images for an epoch, with replacement, rare classes more often if so told.

    Every epoch's draws depend on the seed and the epoch's number alone, so that a resumed run
    draws what the uninterrupted one would have. Several processes make the same draws and take
    turns with them: each step's images are those that one process would have, and none is taken
    twice. What is left over when all have equally many is dropped.
    """

    def __init__(
        self,
        split: Split,
        seed: int,
        weigh: bool = True,
        draws: float = 1.0,
        ranks: Ranks = SINGLE,
    ) -> None:
        """Without `weigh` all images are drawn alike.

        Args:
            split: the training images.
            seed: of the run.
            weigh: draw an image of a class of n in proportion to 1 / sqrt(n).
            draws: how many to draw, as a multiple of the images; over all processes.
            ranks: which process this is.
        """
        per_class = sampling_weights(split.counts()) if weigh else [1.0] * len(split.labels)
        self.weights = torch.tensor([per_class[t] for t in split.targets], dtype=torch.double)
        self.draws = max(1, round(draws * len(split)))
        self.seed, self.epoch, self.ranks = seed, 0, ranks

    def __len__(self) -> int:
        return self.draws // self.ranks.world

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, self.epoch))
        draws = torch.multinomial(
            self.weights, self.draws, replacement=True, generator=generator
        ).tolist()
        yield from self.ranks.share(draws)[: len(self)]


def epoch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """One seed per run, epoch and process, far apart for neighbouring ones."""
    return int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1)[0])


def _ignore_ctrl_c(worker: int) -> None:
    """Ctrl-C reaches the whole process group; the main process alone decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def training_loader(
    split: Split, contract: Contract, config: TrainConfig, on_cpu: bool, ranks: Ranks = SINGLE
) -> tuple[Loader, EpochSampler]:
    """The loader of augmented batches and its sampler.

    A batch is uint8 [B, 3, S, S], int64 [B] class indices, int64 [B] places in the split; B is the
    configuration's batch, shared out over the processes.
    """
    workers = config.workers
    if workers < 0:
        workers = 0 if on_cpu else min(8, os.cpu_count() or 1)
    weigh = config.imbalance in ("dual", "sampler")
    sampler = EpochSampler(split, config.seed, weigh, config.draws, ranks)
    loader: Loader = DataLoader(
        TrainingImages(split, contract, config, ranks),  # type: ignore[arg-type]
        batch_size=min(config.batch // ranks.world, len(sampler)),
        sampler=sampler,
        num_workers=workers,
        drop_last=True,  # BatchNorm must not meet a batch of one
        persistent_workers=workers > 0,
        worker_init_fn=_ignore_ctrl_c if workers else None,
    )
    return loader, sampler
