"""Round all weights of a mobile form, such that its answers stay: w8a8, w8, w6 and w4."""

from collections.abc import Iterator
from copy import deepcopy
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesionlite.console import track
from lesionlite.export.quantize.quant_params import FEW_WEIGHTS
from lesionlite.export.quantize.ranges import BATCH
from lesionlite.export.quantize.sensitivity import SENSITIVITY_IMAGES, channel_means, subsample
from lesionlite.export.quantize.threads import pinned_threads
from lesionlite.export.quantize.weights.bit_allocation import BITS, Harms, allocate, harms
from lesionlite.export.quantize.weights.int8_weights import round_to_int8
from lesionlite.export.quantize.weights.palettes import to_palette
from lesionlite.export.quantize.wiring import LAYERS, Hook, trace, watching
from lesionlite.train.data.images import Pixels

POSITIONS = 64  # of each image, at which a layer's inputs are sampled
WIDE = 8192  # layers that sum more inputs keep no covariance, only variances


class WeightRounder:
    """Rounds the weights of a form, for any number of bits."""

    def __init__(self, form: nn.Module, calibration: Pixels) -> None:
        """Run the calibration images once.

        Args:
            form: the float mobile form, channels first; it is not changed.
            calibration: images, uint8 [N, S, S, 3].
        """
        form = deepcopy(form).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.form, self.images = form, torch.from_numpy(calibration)
        self.batches = self.images.split(BATCH)
        layers: dict[str, Any] = {
            name: module for name, module in form.named_modules() if isinstance(module, LAYERS)
        }
        self.inputs = {name: _Inputs(layer) for name, layer in layers.items()}
        self.means: list[dict[str, list[Tensor]]] = []  # of outputs; by batch, layer and call
        self._for_kernels: dict[bool, nn.Module] = {}
        with pinned_threads():
            self._observe(list(layers))

    def _observe(self, layers: list[str]) -> None:
        # Two, so that the weights of w8, w6 and w4 do not depend on layers that these leave alone.
        generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]

        def watch(name: str) -> Hook:
            def hook(module: nn.Module, given: tuple[Tensor], made: Tensor) -> None:
                self.means[-1].setdefault(name, []).append(channel_means(module, made))
                inputs = self.inputs[name]
                inputs.add(given[0], generators[inputs.few])

            return hook

        with watching(self.form, {name: watch(name) for name in layers}):
            for batch in track(self.batches, "inputs of each layer", len(self.batches)):
                self.means.append({})
                self.form(batch)

    def round(self, bits: int) -> nn.Module:
        """A copy of the form with rounded weights, and biases that correct the means.

        In 8 bits, weights are multiples of their channel's scale; in fewer, they lie on palettes.
        Tensors with at most `FEW_WEIGHTS` weights, and layers that do not run, keep their weights.

        Args:
            bits: 8, 6 or 4; with 6 and 4, some tensors get more, see `allocate`.
        """
        with pinned_threads(), torch.no_grad():
            return self._with(self._weights(bits))

    def round_for_kernels(self, in_pairs: bool = False) -> nn.Module:
        """A copy of the form with all weights rounded to the integers that 8-bit kernels take.

        The result is made once; the caller does not change it.

        Args:
            in_pairs: to those of `to_int8_in_pairs`, else to those of `to_int8`.
        """
        if in_pairs not in self._for_kernels:
            with pinned_threads(), torch.no_grad():
                self._for_kernels[in_pairs] = self._with(_in_8_bits(self._used, in_pairs))
        return self._for_kernels[in_pairs]

    def _with(self, weights: dict[str, Tensor]) -> nn.Module:
        """A copy of the form with some weights by layer, and biases that correct the means."""
        rounded = deepcopy(self.form)
        for name, weight in weights.items():
            layer: Any = rounded.get_submodule(name)
            layer.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
        self._correct(rounded)
        return rounded

    def _weights(self, bits: int) -> dict[str, Tensor]:
        """The rounded weights by layer; see `round`."""
        if bits == 8:
            return _in_8_bits(self._large)
        sizes = {name: inputs.layer.weight.numel() for name, inputs in self._large.items()}
        return {
            name: self._on_palettes[name, planned]
            for name, planned in allocate(sizes, self._harms, bits).items()
        }

    @cached_property
    def _used(self) -> "dict[str, _Inputs]":
        """Of the layers that run."""
        return {name: inputs for name, inputs in self.inputs.items() if inputs.count}

    @property
    def _large(self) -> "dict[str, _Inputs]":
        """Of those with more than `FEW_WEIGHTS` weights."""
        return {name: inputs for name, inputs in self._used.items() if not inputs.few}

    @cached_property
    def _on_palettes(self) -> dict[tuple[str, int], Tensor]:
        """The weights by layer and number of bits."""
        made = {}
        for name, inputs in track(self._large.items(), "palettes of each layer", len(self._large)):
            weight, covariance = inputs.layer.weight.float(), inputs.covariance()
            for bits in BITS:
                made[name, bits] = to_palette(weight, covariance, bits)
        return made

    @cached_property
    def _harms(self) -> Harms:
        wiring = trace(self.form, self.images[:1])
        return harms(wiring, self._on_palettes, subsample(self.images, SENSITIVITY_IMAGES))

    def _correct(self, rounded: nn.Module) -> None:
        """Correct the biases so that each output channel has the mean that it has in the form.

        Nagel et al. 2019, arXiv 1906.04721, section 4.2, with means measured on images. Layers are
        corrected in the order of execution: each sees its inputs as they are once those before it
        are corrected.
        """
        images = len(self.images)
        sums: dict[str, Tensor] = {}
        for batch, means in zip(self.batches, self.means, strict=True):
            for name, shift in _shifts(rounded, batch, means).items():
                sums[name] = sums.get(name, torch.zeros(())) + shift * (len(batch) / images)
        for name, shift in sums.items():
            layer: Any = rounded.get_submodule(name)
            bias = shift if layer.bias is None else layer.bias + shift
            layer.bias = nn.Parameter(bias, requires_grad=False)


def _in_8_bits(used: "dict[str, _Inputs]", in_pairs: bool = False) -> dict[str, Tensor]:
    """The weights of layers, learned in 8 bits, by name."""
    return {
        name: round_to_int8(inputs.layer.weight.float(), inputs.covariance(), in_pairs)
        for name, inputs in track(used.items(), "weights in 8 bits", len(used))
    }


def _shifts(rounded: nn.Module, batch: Tensor, means: dict[str, list[Tensor]]) -> dict[str, Tensor]:
    """What the output channels of each layer lack on one batch, by layer."""
    wanted = {name: iter(calls) for name, calls in means.items()}
    shifts: dict[str, Tensor] = {}

    def watch(name: str) -> Hook:
        def hook(module: nn.Module, given: tuple[Tensor], made: Tensor) -> Tensor:
            shift = next(wanted[name]) - channel_means(module, made)
            shifts[name] = shifts.get(name, torch.zeros(())) + shift / len(means[name])
            return made + (shift[:, None, None] if isinstance(module, nn.Conv2d) else shift)

        return hook

    with watching(rounded, {name: watch(name) for name in means}):
        rounded(batch)
    return shifts


class _Inputs:
    """The second moments of what the output channels of a layer sum, from some positions."""

    def __init__(self, layer: Any) -> None:
        self.layer, self.count = layer, 0
        self.groups = getattr(layer, "groups", 1)
        self.wide = layer.weight[0].numel() > WIDE
        self.few = layer.weight.numel() <= FEW_WEIGHTS
        self.products, self.sums = torch.zeros(()), torch.zeros(())
        self.origin: Tensor | None = None  # near the mean, so that no digits cancel out

    def add(self, given: Tensor, generator: torch.Generator) -> None:
        """Add the inputs of one batch."""
        rows = torch.cat([*self._rows(given.float(), generator)])
        rows = rows.reshape(len(rows), self.groups, -1).transpose(0, 1)  # [G, N, K]
        if self.origin is None:
            self.origin = rows.mean(1, keepdim=True)
        rows = rows - self.origin
        squares = rows.square().sum(1) if self.wide else rows.transpose(1, 2) @ rows
        self.products, self.sums = self.products + squares, self.sums + rows.sum(1)
        self.count += rows.shape[1]

    def _rows(self, given: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        """By image, [N, G * K]: the inputs at some of the positions."""
        for image in given:
            if isinstance(self.layer, nn.Linear):
                read = image.reshape(-1, 1, image.shape[-1])
            else:
                read = _windows(self.layer, image)
            height, width = read.shape[:2]
            at = torch.arange(height * width)
            if len(at) > POSITIONS:
                at = torch.randperm(len(at), generator=generator)[:POSITIONS]
            yield read[at // width, at % width].flatten(1)

    def covariance(self) -> Tensor:
        """[G, K, K]; for wide layers the variances [G, K]."""
        mean = self.sums / self.count
        if self.wide:
            return self.products / self.count - mean.square()
        return self.products / self.count - mean[:, :, None] * mean[:, None, :]


def _windows(layer: Any, image: Tensor) -> Tensor:
    """What a convolution reads at each position of its output, a view [H, W, I, KH, KW].

    Args:
        layer: a convolution.
        image: float [I, H, W].
    """
    (down, right), (rows, columns) = layer.padding, layer.dilation
    # Not `kernel_size`, which the plain form leaves at 1.
    height, width = layer.weight.shape[2:]
    padded = F.pad(image, (right, right, down, down))
    padded = padded.unfold(1, rows * (height - 1) + 1, layer.stride[0])
    padded = padded.unfold(2, columns * (width - 1) + 1, layer.stride[1])
    return padded[..., ::rows, ::columns].permute(1, 2, 0, 3, 4)
