"""Load training images with random crops, flips and colour changes (torchvision)."""

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
from lesionlite.train.data.cache import cached_pixels, enlarged
from lesionlite.train.data.decoding import open_image
from lesionlite.train.data.images import to_input
from lesionlite.train.data.splits import Split
from lesionlite.train.devices.ranks import SINGLE, Ranks, first_on_machine
from lesionlite.train.networks import declare_torchvision_operators
from lesionlite.train.objective.imbalance import MODES, sampling_weights

AUGMENTATION = 1  # sets its seeds apart from those of the network
Loader = DataLoader[tuple[Tensor, Tensor, Tensor]]


Draw = tuple[int, int]
"""Index of an image in the split, and the seed of its augmentation."""


class TrainingImages(TorchDataset[tuple[Tensor, int, int]]):
    """Augmented images: uint8 [3, S, S], class index, and index in the split.

    They depend on the draw alone: not on the process that makes them, nor on those made before.
    """

    def __init__(
        self, split: Split, contract: Contract, config: TrainConfig, ranks: Ranks = SINGLE
    ) -> None:
        declare_torchvision_operators()
        from torchvision.transforms import v2

        self.split = split
        jitter = dict.fromkeys(("brightness", "contrast", "saturation"), config.jitter)
        bilinear = v2.InterpolationMode.BILINEAR
        self.pixels, self.large = None, enlarged(contract)
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

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, int, int]:
        index, seed = draw
        if self.pixels is None:
            pixels = to_input(open_image(self.split.files[index]), self.large)
        else:
            pixels = self.pixels[index].copy()
        with torch.random.fork_rng(devices=[]):  # dropout's numbers stay as they were
            torch.default_generator.manual_seed(seed)
            image = self.transform(torch.from_numpy(pixels).permute(2, 0, 1))
        return image, self.split.targets[index], index


class EpochSampler(torch.utils.data.Sampler[Draw]):
    """Samples an epoch's images with replacement, rare classes more often if `weigh` is set.

    The samples and the seeds of their augmentation depend only on the seed and the number of the
    epoch, so that a resumed run samples the same images as an uninterrupted one. With several
    processes, all draw the same list and each takes its share: each step then has the images that
    one process would have used. A remainder that does not divide evenly is dropped.
    """

    def __init__(
        self,
        split: Split,
        seed: int,
        weigh: bool = True,
        draws: float = 1.0,
        ranks: Ranks = SINGLE,
    ) -> None:
        """Make a sampler for epoch 0; set `epoch` before each further one.

        Args:
            split: the training images.
            seed: of the run.
            weigh: sample an image of a class of n images in proportion to 1 / sqrt(n); otherwise
                all images equally.
            draws: number of samples, as a multiple of the images; over all processes.
            ranks: the place of this process.
        """
        per_class = sampling_weights(split.counts()) if weigh else [1.0] * len(split.labels)
        self.weights = torch.tensor([per_class[t] for t in split.targets], dtype=torch.double)
        self.draws = max(1, round(draws * len(split)))
        self.seed, self.epoch, self.ranks = seed, 0, ranks

    def __len__(self) -> int:
        return self.draws // self.ranks.world

    def __iter__(self) -> Iterator[Draw]:
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, self.epoch))
        draws = torch.multinomial(
            self.weights, self.draws, replacement=True, generator=generator
        ).tolist()
        sequence = np.random.SeedSequence([self.seed, self.epoch], spawn_key=(AUGMENTATION,))
        seeds = sequence.generate_state(self.draws).tolist()
        yield from self.ranks.share(list(zip(draws, seeds, strict=True)))[: len(self)]


def epoch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """A seed for each run, epoch and process; neighbours get unrelated seeds."""
    return int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1)[0])


def _ignore_ctrl_c(worker: int) -> None:
    """Ctrl-C reaches the whole process group; only the main process handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def training_loader(
    split: Split, contract: Contract, config: TrainConfig, on_cpu: bool, ranks: Ranks = SINGLE
) -> tuple[Loader, EpochSampler]:
    """The loader of augmented batches and its sampler.

    A batch is uint8 [B, 3, S, S], int64 [B] class indices, and int64 [B] indices in the split. B is
    the configured batch divided by the number of processes.
    """
    workers = config.workers
    if workers < 0:
        workers = 0 if on_cpu else min(8, os.cpu_count() or 1)
    weigh = MODES[config.imbalance].samples
    sampler = EpochSampler(split, config.seed, weigh, config.draws, ranks)
    loader: Loader = DataLoader(
        TrainingImages(split, contract, config, ranks),  # type: ignore[arg-type]
        batch_size=min(config.batch // ranks.world, len(sampler)),
        sampler=sampler,
        num_workers=workers,
        # A process that resumes starts its workers anew, which draws from this generator. From the
        # global one, it would change dropout.
        generator=torch.Generator().manual_seed(config.seed),
        drop_last=True,  # BatchNorm cannot train on a batch of one
        persistent_workers=workers > 0,
        worker_init_fn=_ignore_ctrl_c if workers else None,
    )
    return loader, sampler
