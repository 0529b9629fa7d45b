"""A large depthwise window in pieces computes what the whole window computes."""

import pytest
import torch
from torch import nn

from lesionlite.export.forms.pieces import TAPS, Pieces, is_large


def window_of(conv: nn.Conv2d) -> tuple[object, object, int]:
    """What `is_large` asks."""
    return conv.padding, conv.dilation, conv.groups


@pytest.mark.parametrize("kernel", [(7, 7), (9, 9), (11, 11), (7, 5), (5, 7), (27, 1)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_pieces_give_the_same_sum(kernel: tuple[int, int], stride: int, bias: bool) -> None:
    padding = kernel[0] // 2, kernel[1] // 2
    conv = nn.Conv2d(6, 6, kernel, stride, padding, groups=6, bias=bias, dtype=torch.float64)
    assert is_large(conv.weight, *window_of(conv))
    pieces = Pieces(conv.weight, conv.bias, conv.stride, conv.padding)
    image = torch.randn(2, 6, 17, 14, dtype=torch.float64)
    torch.testing.assert_close(pieces(image), conv(image), rtol=0, atol=1e-12)
    taps = [part.weight[0].numel() for part in pieces.parts]
    assert max(taps) <= TAPS and sum(taps) == kernel[0] * kernel[1]


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(6, 6, 5, padding=2, groups=6),  # XNNPACK has a kernel
        nn.Conv2d(6, 6, 7, padding=3),  # not depthwise
        nn.Conv2d(6, 12, 7, padding=3, groups=6),  # two results for a channel
        nn.Conv2d(6, 6, 8, padding=4, groups=6),  # no middle
        nn.Conv2d(6, 6, 7, padding=0, groups=6),  # would need negative padding
        nn.Conv2d(6, 6, 7, padding=6, dilation=2, groups=6),
        nn.Conv2d(6, 6, 13, padding=6, groups=6),  # two rows have more than 25 taps
    ],
)
def test_other_convolutions_stay_whole(conv: nn.Conv2d) -> None:
    assert not is_large(conv.weight, *window_of(conv))
