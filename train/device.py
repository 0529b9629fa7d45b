"""Where to compute, and in which precision."""

import torch
from torch import Tensor, nn

from lesionlite.errors import LesionliteError


def pick_device(name: str) -> torch.device:
    """`auto` takes a GPU if there is one; LesionliteError if the named one is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        if name == "cpu" and torch.backends.mps.is_available():
            name = "mps"
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(name, False):
        usable = ", ".join(key for key, value in there.items() if value)
        raise LesionliteError(f"there is no device {name!r} here; choose from: auto, {usable}")
    return torch.device(name)


def use_bf16(setting: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16: where the hardware multiplies in it, unless told otherwise.

    Measured on a CPU without it (AVX2 only): 5 to 10 times slower than float32, not faster.
    """
    if setting != "auto":
        return setting == "on"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


class Float32Conv(nn.Conv2d):
    """A convolution that autocast leaves alone; it gives what it gets, in the same precision."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [B, C, H, W] in float32."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float()).to(x.dtype)


def spare_bf16(network: nn.Module) -> None:
    """Keep strided depthwise convolutions in float32, in place; for training with bf16 on a CPU.

    oneDNN has no kernel for their gradient by the input in bfloat16: the reference loop that it
    falls back to takes 4 to 78 times as long as the one for float32 (a third of a step in all).
    Measured with torch 2.13.0; can go when aten::convolution_backward takes as long with stride 2
    as with stride 1 there.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and module.groups > 1 and max(module.stride) > 1:
            module.__class__ = Float32Conv
