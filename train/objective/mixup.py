"""Mix the images of a batch in pairs (Zhang et al. 2018, arXiv 1710.09412)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lesionlite.train.devices.ranks import SINGLE, Ranks, gather


@dataclass(frozen=True)
class Mixture:
    """How a batch of B images is mixed: `share` of each image, and the rest of its partner.

    Attributes:
        share: of the image itself, from 0 to 1.
        partners: index of each image's partner, int64 [B]; None if nothing is mixed.
    """

    share: float = 1.0
    partners: Tensor | None = None

    def images(self, pixels: Tensor) -> Tensor:
        """The mixed images, uint8 [B, 3, S, S], of those of the batch."""
        if self.partners is None:
            return pixels
        mixed = self.share * pixels.float() + (1 - self.share) * pixels[self.partners].float()
        return mixed.round().to(torch.uint8)

    def targets(self, targets: Tensor) -> list[tuple[float, Tensor]]:
        """Class indices, int64 [B], with the share of the loss that each has."""
        if self.partners is None:
            return [(1.0, targets)]
        return [(self.share, targets), (1 - self.share, targets[self.partners])]


def draw_mixture(images: int, alpha: float, ranks: Ranks = SINGLE) -> Mixture:
    """Draw a mixture from torch's generator of the CPU; none is drawn if `alpha` is 0.

    Args:
        images: B.
        alpha: both parameters of the beta distribution of the share (section 2 of the paper).
        ranks: the processes that share each batch. All get the first one's share, because the loss
            of the batch has one; each mixes its own images.
    """
    if not alpha:
        return Mixture()
    share = gather(ranks, float(torch.distributions.Beta(alpha, alpha).sample()))[0]
    return Mixture(share, torch.randperm(images))
