"""Choose the device to train on, and the precision."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesionlite.errors import LesionliteError


def pick_device(name: str) -> torch.device:
    """The device called `name`; `auto` takes a GPU if there is one.

    Raises:
        LesionliteError: if this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        if name == "cpu" and torch.backends.mps.is_available():
            name = "mps"
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(name, False):
        usable = ", ".join(key for key, value in available.items() if value)
        raise LesionliteError(f"there is no device {name!r} here; choose from: auto, {usable}")
    return torch.device(name)


def use_bf16(setting: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16: `on`, `off`, or `auto` if the hardware supports it.

    On a CPU without bfloat16 instructions (AVX2 only), it was 5 to 10 times slower than float32.
    """
    if setting != "auto":
        return setting == "on"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


class Float32Conv(nn.Conv2d):
    """A convolution that computes in float32 under autocast; the output has the input's dtype."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [B, C, H, W] in float32."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float()).to(x.dtype)


def spare_bf16(network: nn.Module) -> None:
    """Keep strided depthwise convolutions in float32, in place; for training with bf16 on a CPU.

    oneDNN has no bfloat16 kernel for the gradient with respect to their input. Its fallback takes 4
    to 78 times as long as the float32 kernel, a third of a training step in all (torch 2.13.0). Can
    be removed when aten::convolution_backward is as fast with stride 2 as with stride 1.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and module.groups > 1 and max(module.stride) > 1:
            module.__class__ = Float32Conv


def suit_cpu(network: nn.Module, bf16: bool) -> None:
    """Replace, in place, the convolutions that are unsafe or slow when a CPU trains them."""
    for module in network.modules():
        if type(module) is nn.Conv2d and overruns(
            module.weight, module.stride, module.padding, module.groups
        ):
            module.__class__ = ThinningConv
    if bf16:
        spare_bf16(network)


def overruns(weight: Tensor, stride: Any, padding: Any, groups: int) -> bool:
    """Whether the gradient of a convolution's weight or bias may write outside its memory.

    oneDNN's 1x1 kernels for strides (float32 and bfloat16; AVX2 and AVX-512) write past their
    workspace if pixels have channels last and fewer channels than a block, 16 at most: the process
    dies or the gradients are wrong (torch 2.13.0 with oneDNN 3.12.0; uxlfoundation/oneDNN#6035,
    open). Can be removed, with `Thinning` and `ThinningConv`, when torch has an oneDNN that mends
    it: then the test that expects the crash fails.

    Args:
        weight: [D, C / groups, kh, kw].
        stride: pair of integers.
        padding: pair of integers, or "valid".
        groups: grouped convolutions have another kernel, which is safe.
    """
    small = weight.dim() == 4 and weight.shape[1] < 16 and tuple(weight.shape[2:]) == (1, 1)
    return small and groups == 1 and max(stride) > 1 and padding in ((0, 0), "valid")


class Thinning(nn.Module):
    """Keeps the pixels that a strided 1x1 convolution reads."""

    def __init__(self, stride: Any) -> None:
        super().__init__()
        self.rows, self.columns = stride

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, ceil(H / rows), ceil(W / columns)]."""
        return x[:, :, :: self.rows, :: self.columns]


class ThinningConv(nn.Conv2d):
    """A strided 1x1 convolution without padding; it thins the pixels, then has no stride."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [B, C, H, W]."""
        rows, columns = self.stride
        return F.conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias)
