"""Augmentation depends on seed, epoch and position alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lesionlite.contract import Contract
from lesionlite.train.augment import TrainingImages, training_loader
from lesionlite.train.config import TrainConfig
from lesionlite.train.data.splits import Split, read_dataset

CONFIG = TrainConfig(side=32, batch=16, rotation=15.0, workers=0, cache=False)


@pytest.fixture(scope="module")
def split(drawn: Path) -> Split:
    return read_dataset(drawn).train


def batches(split: Split, config: TrainConfig, epoch: int = 0) -> list[tuple[Tensor, ...]]:
    """The first three batches of an epoch, after the batches of those before."""
    loader, sampler = training_loader(split, Contract(split.labels, side=32), config, True)
    for sampler.epoch in range(epoch):
        next(iter(loader))
    sampler.epoch = epoch
    return [tuple(batch) for batch, _ in zip(loader, range(3), strict=False)]


def same(some: list[tuple[Tensor, ...]], others: list[tuple[Tensor, ...]]) -> bool:
    return all(
        torch.equal(a, b)
        for one, other in zip(some, others, strict=True)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("change", [{"workers": 1}, {"workers": 4}, {"cache": True}])
def test_neither_workers_nor_the_cache_change_a_pixel(change: dict[str, int], split: Split) -> None:
    assert same(batches(split, CONFIG), batches(split, replace(CONFIG, **change)))


def test_what_was_drawn_before_changes_nothing(split: Split) -> None:
    later = batches(split, CONFIG, epoch=1)
    torch.rand(7)
    assert same(later, batches(split, replace(CONFIG, workers=2), epoch=1))
    assert not same(later, batches(split, CONFIG))
    assert not same(later, batches(split, replace(CONFIG, seed=1), epoch=1))


def test_an_image_drawn_twice_is_augmented_in_two_ways(split: Split) -> None:
    images = TrainingImages(split, Contract(split.labels, side=32), CONFIG)
    before = torch.random.get_rng_state()
    (first, *_), (again, *_), (other, *_) = images[3, 1], images[3, 1], images[3, 2]
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)  # dropout's numbers stay
