"""Training images: decoded, randomly cropped, flipped and jittered. Knows torchvision."""

import os
import signal
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from train.config import TrainConfig
from train.contract import Contract
from train.data import Split, open_image
from train.imbalance import sampling_weights
from train.model import declare_torchvision_operators


class TrainingImages(TorchDataset[tuple[Tensor, int]]):
    """Augmented images as uint8 [3, S, S] with their class index."""

    def __init__(self, split: Split, contract: Contract) -> None:
        declare_torchvision_operators()
        from torchvision.transforms import v2

        self.split = split
        self.transform = v2.Compose(
            [
                v2.RandomResizedCrop(contract.side, scale=(0.7, 1.0), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomVerticalFlip(),
                v2.ColorJitter(brightness=0.1, contrast=0.1, saturation=0.1),
                v2.PILToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(open_image(self.split.files[index])), self.split.targets[index]


class EpochSampler(torch.utils.data.Sampler[int]):
    """Draws as many images as there are, with replacement, rare classes more often.

    Every epoch's draws depend on the seed and the epoch's number alone, so that a resumed run
    draws what the uninterrupted one would have.
    """

    def __init__(self, split: Split, seed: int) -> None:
        self.per_class = sampling_weights(split.counts())
        self.weights = torch.tensor([self.per_class[t] for t in split.targets], dtype=torch.double)
        self.seed, self.epoch = seed, 0

    def __len__(self) -> int:
        return len(self.weights)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, self.epoch))
        yield from torch.multinomial(
            self.weights, len(self.weights), replacement=True, generator=generator
        ).tolist()


def epoch_seed(seed: int, epoch: int) -> int:
    """One seed per run and epoch, far apart for neighbouring ones."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _ignore_ctrl_c(worker: int) -> None:
    """Ctrl-C reaches the whole process group; the main process alone decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def training_loader(
    split: Split, contract: Contract, config: TrainConfig, on_cpu: bool
) -> tuple["DataLoader[tuple[Tensor, Tensor]]", EpochSampler]:
    """The loader of augmented batches (uint8 [B, 3, S, S], int64 [B]) and its sampler."""
    workers = config.workers
    if workers < 0:
        workers = 0 if on_cpu else min(8, os.cpu_count() or 1)
    sampler = EpochSampler(split, config.seed)
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        TrainingImages(split, contract),  # type: ignore[arg-type]
        batch_size=min(config.batch, len(split)),
        sampler=sampler,
        num_workers=workers,
        drop_last=True,  # BatchNorm must not meet a batch of one
        persistent_workers=workers > 0,
        worker_init_fn=_ignore_ctrl_c if workers else None,
    )
    return loader, sampler
