"""Rounded weights in files, so that another process can write them."""

from collections.abc import Iterable
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lesionlite.export.quantize.weights.weight_rounding import WeightRounder
from lesionlite.export.quantize.wiring import LAYERS
from lesionlite.export.source import RoundedWeights
from lesionlite.train.data.images import Pixels

KERNELS, IN_PAIRS = "kernels", "pairs"  # the names of `round_for_kernels`; numbers name `round`
IMAGES = "images.npy"


def store_images(images: Pixels, folder: Path) -> None:
    """Write the calibration images, uint8 [N, S, S, 3]; `StoredWeights` rounds by them."""
    np.save(folder / IMAGES, images)


def store(rounder: RoundedWeights, folder: Path, names: Iterable[str]) -> None:
    """Write the calibration images, and some of the rounded weights, into a folder.

    Args:
        rounder: rounds the weights that it has not rounded yet.
        folder: exists.
        names: KERNELS, IN_PAIRS, or a number of bits such as "4".
    """
    store_images(rounder.images.numpy(), folder)
    for name in names:
        if name in (KERNELS, IN_PAIRS):
            rounded = rounder.round_for_kernels(name == IN_PAIRS)
        else:
            rounded = rounder.round(int(name))
        save_file(_values(rounded), folder / f"{name}.safetensors")


def _values(form: nn.Module) -> dict[str, torch.Tensor]:
    values = {}
    for name, layer in form.named_modules():
        if isinstance(layer, LAYERS):
            values[f"{name}.weight"] = layer.weight.detach().clone().contiguous()
            if layer.bias is not None:
                values[f"{name}.bias"] = layer.bias.detach().clone()
    return values


class StoredWeights:
    """What `store` wrote; it stands in for the `WeightRounder`, and makes one for the rest."""

    def __init__(self, form: nn.Module, folder: Path) -> None:
        """Read the images; the weights are read when they are asked for.

        Args:
            form: the float mobile form, channels first; it is not changed.
            folder: that `store` wrote to.
        """
        self._form, self._folder = form, folder
        self.images = torch.from_numpy(np.load(folder / IMAGES))

    def round(self, bits: int) -> nn.Module:
        """As `WeightRounder.round`."""
        if not self._file(str(bits)).exists():
            return self._rounder.round(bits)
        return self._read(str(bits))

    def round_for_kernels(self, in_pairs: bool = False) -> nn.Module:
        """As `WeightRounder.round_for_kernels`, which `store` has called."""
        return self._read(IN_PAIRS if in_pairs else KERNELS)

    @cached_property
    def _rounder(self) -> WeightRounder:
        return WeightRounder(self._form, self.images.numpy())

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.safetensors"

    def _read(self, name: str) -> nn.Module:
        values = load_file(self._file(name))
        rounded = deepcopy(self._form)
        for place, layer in rounded.named_modules():
            if isinstance(layer, LAYERS):
                stored: Any = layer
                stored.weight = nn.Parameter(values[f"{place}.weight"], requires_grad=False)
                bias = values.get(f"{place}.bias")
                stored.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        return rounded
