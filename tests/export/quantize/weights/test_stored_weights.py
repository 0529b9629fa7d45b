from pathlib import Path

import pytest
import torch
from torch import nn

from lesionlite.export.quantize.weights.stored_weights import (
    IN_PAIRS,
    KERNELS,
    StoredWeights,
    store,
    store_images,
)
from lesionlite.export.quantize.weights.weight_rounding import WeightRounder


def test_another_process_reads_the_weights_that_were_rounded(
    rounder: WeightRounder, form: nn.Module, tmp_path: Path
) -> None:
    store(rounder, tmp_path, ["8", "4", KERNELS, IN_PAIRS])
    read = StoredWeights(form, tmp_path)
    assert torch.equal(read.images, rounder.images)
    found = [read.round(8), read.round(4), read.round_for_kernels(), read.round_for_kernels(True)]
    own = rounder.round(8), rounder.round(4), *map(rounder.round_for_kernels, (False, True))
    for one, other in zip(found, own, strict=True):
        assert_same(one, other)
    assert not torch.equal(found[0].head.weight, found[1].head.weight)


def test_it_rounds_what_was_not_stored_by_the_images(
    rounder: WeightRounder, form: nn.Module, tmp_path: Path
) -> None:
    store_images(rounder.images.numpy(), tmp_path)
    read = StoredWeights(form, tmp_path)
    assert_same(read.round(6), rounder.round(6))
    with pytest.raises(FileNotFoundError):
        read.round_for_kernels()


def assert_same(one: nn.Module, other: nn.Module) -> None:
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, value in other.state_dict().items():
        assert torch.equal(one.state_dict()[name], value), name
