"""A wrapper that gives a network the input and the output of our artifacts, as a user writes it."""

from torch import Tensor, nn

from lesionlite.contract import Contract
from lesionlite.train.model import calibrated, predict_logits


class FromPixels(nn.Module):
    """Pixels, uint8 [N, S, S, 3], to probabilities, float32 [N, C], without our rewrites."""

    def __init__(self, network: nn.Module, contract: Contract) -> None:
        """Wrap `network`, which takes normalized float32 [N, 3, S, S] and returns logits."""
        super().__init__()
        self.network, self.contract = network, contract

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalization, the network, and softmax."""
        logits = predict_logits(self.network, pixels.permute(0, 3, 1, 2), self.contract)
        return calibrated(logits, self.contract).softmax(1)
