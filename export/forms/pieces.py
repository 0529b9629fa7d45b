"""Depthwise convolutions with large windows, as sums of smaller ones.

XNNPACK's depthwise kernels hold at most 25 taps (`dwconv-config.c`). A larger window runs as a
matrix product for each channel, which takes five times as long as the same sum in pieces (7x7 and
9x9 in LiteRT 2.3, on x86). This can go when XNNPACK has kernels for such windows.
"""

from typing import Any

from torch import Tensor, nn

from lesionlite.export.forms.fold import with_weights

TAPS = 25


class Pieces(nn.Module):
    """A depthwise convolution as a sum of depthwise convolutions of at most `TAPS` taps.

    The rows of a piece lie symmetrically about the middle of the window: those next to the middle,
    or two that are equally far from it. So a piece pads as many pixels above as below.

    `source` changes what it reads, and `result` what it writes.
    """

    source: nn.Module
    result: nn.Module

    def __init__(self, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any) -> None:
        """Divide a convolution that `is_large`.

        Args:
            weight: float [C, 1, rows, columns].
            bias: float [C], or None.
            stride: of rows and columns.
            padding: of rows and columns.
        """
        super().__init__()
        self.source, self.result = nn.Identity(), nn.Identity()
        channels, _, rows, columns = weight.shape
        first = rows // 2 - (TAPS // columns - 1) // 2  # of the piece in the middle
        pairs = [slice(row, rows - row, rows - 1 - 2 * row) for row in range(first)]
        self.parts = nn.ModuleList()
        for part in (slice(first, rows - first, 1), *pairs):
            piece = nn.Conv2d(
                channels,
                channels,
                (len(range(rows)[part]), columns),
                stride,
                (padding[0] - part.start, padding[1]),
                (part.step, 1),
                groups=channels,
            )
            self.parts.append(with_weights(piece, weight[:, :, part], bias))
            bias = None  # the first piece has it

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> as the whole convolution."""
        x, (first, *others) = self.source(x), self.parts
        total = first(x)
        for part in others:
            total = total + part(x)
        made: Tensor = self.result(total)
        return made


def is_large(weight: Tensor, padding: Any, dilation: Any, groups: int) -> bool:
    """Whether a convolution is depthwise with a window of too many taps, and `Pieces` can write it.

    Args:
        weight: float [O, I, rows, columns].
        padding: of rows and columns.
        dilation: of rows and columns.
        groups: of channels.
    """
    outputs, inputs, rows, columns = weight.shape
    depthwise = inputs == 1 and groups == outputs
    centred = rows % 2 == 1 and padding[0] == rows // 2 and tuple(dilation) == (1, 1)
    return depthwise and centred and rows * columns > TAPS >= 2 * columns
