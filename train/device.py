"""Where to compute, and in which precision."""

import torch

from train.errors import LesionliteError


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
