"""Rename the parameters of Apple's MobileViTv2 checkpoints (ml-cvnets) to timm's names.

This covers ml-cvnets 0.2, with which the published weights were trained, and all later versions.
Only the names differ. For MobileViTv2, ml-cvnets reads images as RGB (with Pillow), scaled to 0..1,
without mean and deviation, as timm and lesionlite do. So the channels of the first convolution need
no reordering. (Version 0.1 read BGR, but it has only the first MobileViT, which does not fit.)
"""

import re
from collections.abc import Mapping

from torch import Tensor

FIRST = "conv_1.block.conv.weight"  # only ml-cvnets' checkpoints have it
NAMES = (  # pattern of ml-cvnets' name, timm's name; applied in order
    (r"\.block\.conv\.", ".conv."),
    (r"\.block\.norm\.", ".bn."),
    (r"^conv_1\.", "stem."),
    (r"^layer_(\d)\.", lambda layer: f"stages.{int(layer[1]) - 1}."),
    (r"\.block\.exp_1x1\.", ".conv1_1x1."),
    (r"\.block\.conv_3x3\.", ".conv2_kxk."),
    (r"\.block\.red_1x1\.", ".conv3_1x1."),
    (r"\.local_rep\.0\.", ".conv_kxk."),
    (r"\.local_rep\.1\.conv\.", ".conv_1x1."),
    (r"\.global_rep\.\d\.(weight|bias)$", r".norm.\1"),  # the norm after the last block
    (r"\.global_rep\.", ".transformer."),
    (r"\.pre_norm_attn\.0\.", ".norm1."),
    (r"\.pre_norm_attn\.1\.(qkv_proj|out_proj)\.conv\.", r".attn.\1."),
    (r"\.pre_norm_ffn\.0\.", ".norm2."),
    (r"\.pre_norm_ffn\.1\.conv\.", ".mlp.fc1."),  # 2 is dropout
    (r"\.pre_norm_ffn\.3\.conv\.", ".mlp.fc2."),
    (r"^classifier\.(1\.)?", "head.fc."),
)


def is_cvnets(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has ml-cvnets' parameter names."""
    return FIRST in state


def as_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename ml-cvnets' parameters to timm's names; names that no pattern matches stay."""
    return {_name(key): value for key, value in state.items()}


def _name(key: str) -> str:
    for pattern, replacement in NAMES:
        key = re.sub(pattern, replacement, key)
    return key
