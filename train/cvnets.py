"""Apple's own MobileViTv2 checkpoints (ml-cvnets): their parameters by the names that timm has.

The names are those of ml-cvnets 0.2, in which the published weights were trained, to its last
version. Nothing but names differs: for MobileViTv2 it reads images as RGB (with Pillow) in 0..1,
without mean and deviation, as timm and we do, so the first convolution's channels stay as they are.
(Version 0.1, of the first MobileViT, read BGR; that network's parameters do not fit.)
"""

import re
from collections.abc import Mapping

from torch import Tensor

FIRST = "conv_1.block.conv.weight"  # tells their checkpoints from timm's
NAMES = (  # their name, timm's; one after the other
    (r"\.block\.conv\.", ".conv."),
    (r"\.block\.norm\.", ".bn."),
    (r"^conv_1\.", "stem."),
    (r"^layer_(\d)\.", lambda layer: f"stages.{int(layer[1]) - 1}."),
    (r"\.block\.exp_1x1\.", ".conv1_1x1."),
    (r"\.block\.conv_3x3\.", ".conv2_kxk."),
    (r"\.block\.red_1x1\.", ".conv3_1x1."),
    (r"\.local_rep\.0\.", ".conv_kxk."),
    (r"\.local_rep\.1\.conv\.", ".conv_1x1."),
    (r"\.global_rep\.\d\.(weight|bias)$", r".norm.\1"),  # what follows the last block
    (r"\.global_rep\.", ".transformer."),
    (r"\.pre_norm_attn\.0\.", ".norm1."),
    (r"\.pre_norm_attn\.1\.(qkv_proj|out_proj)\.conv\.", r".attn.\1."),
    (r"\.pre_norm_ffn\.0\.", ".norm2."),
    (r"\.pre_norm_ffn\.1\.conv\.", ".mlp.fc1."),  # 2 is dropout
    (r"\.pre_norm_ffn\.3\.conv\.", ".mlp.fc2."),
    (r"^classifier\.(1\.)?", "head.fc."),
)


def is_cvnets(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has ml-cvnets' names."""
    return FIRST in state


def as_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of ml-cvnets' MobileViTv2 by timm's names; of another network, some stay."""
    return {_name(key): value for key, value in state.items()}


def _name(key: str) -> str:
    for theirs, ours in NAMES:
        key = re.sub(theirs, ours, key)
    return key
