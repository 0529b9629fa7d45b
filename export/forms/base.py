"""What all forms share: pixels in, probabilities out."""

import torch
from torch import Tensor, nn


class FromPixels(nn.Module):
    """A network from pixels to probabilities, as every artifact holds it.

    Modules have the names of timm's, so the names in a quantization plan fit both networks.
    """

    def __init__(self, dtype: torch.dtype, cast_first: bool = False) -> None:
        """Prepare an empty form.

        Args:
            dtype: of the network; FX cannot trace the dtype of a parameter.
            cast_first: pixels are converted to floats before they are transposed.
        """
        super().__init__()
        self.dtype, self.cast_first = dtype, cast_first

    def logits(self, image: Tensor) -> Tensor:
        """Image [B, 3, S, S], 0..255 in the network's dtype -> calibrated logits [B, C]."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> Tensor:
        """uint8 [B, S, S, 3] RGB -> float probabilities [B, C]."""
        return self.scores(image).softmax(-1)

    def scores(self, image: Tensor) -> Tensor:
        """uint8 [B, S, S, 3] RGB -> calibrated logits [B, C]."""
        return self.logits(self.pixels(image))

    def pixels(self, image: Tensor) -> Tensor:
        """uint8 [B, S, S, 3] -> [B, 3, S, S] in the network's dtype, as `logits` takes it."""
        if self.cast_first:
            return image.to(self.dtype).permute(0, 3, 1, 2)
        return image.permute(0, 3, 1, 2).to(self.dtype)
