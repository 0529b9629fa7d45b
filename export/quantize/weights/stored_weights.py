"""Rounded weights in files, so that another process can write them."""

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lesionlite.export.quantize.wiring import LAYERS
from lesionlite.export.source import RoundedWeights

KERNELS, IN_PAIRS = "kernels", "pairs"  # the names of `round_for_kernels`; numbers name `round`
IMAGES = "images.npy"


def store(rounder: RoundedWeights, folder: Path, names: Iterable[str]) -> None:
    """Write the calibration images, and some of the rounded weights, into a folder.

    Args:
        rounder: rounds the weights that it has not rounded yet.
        folder: exists.
        names: KERNELS, IN_PAIRS, or a number of bits such as "4".
    """
    if not (folder / IMAGES).exists():
        np.save(folder / IMAGES, rounder.images.numpy())
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
    """What `store` wrote; it stands in for the `WeightRounder`."""

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
        return self._read(str(bits))

    def round_for_kernels(self, in_pairs: bool = False) -> nn.Module:
        """As `WeightRounder.round_for_kernels`."""
        return self._read(IN_PAIRS if in_pairs else KERNELS)

    def _read(self, name: str) -> nn.Module:
        values = load_file(self._folder / f"{name}.safetensors")
        rounded = deepcopy(self._form)
        for place, layer in rounded.named_modules():
            if isinstance(layer, LAYERS):
                stored: Any = layer
                stored.weight = nn.Parameter(values[f"{place}.weight"], requires_grad=False)
                bias = values.get(f"{place}.bias")
                stored.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        return rounded
