"""Score a network on validation images; several processes share the work."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesionlite.contract import Contract
from lesionlite.metrics import answer_scores
from lesionlite.train.data.images import Pixels, load_inputs
from lesionlite.train.data.splits import Split
from lesionlite.train.devices.ranks import Ranks, attempt, gather
from lesionlite.train.model import all_logits


def read_validation(split: Split, contract: Contract, ranks: Ranks) -> Pixels:
    """Decode this process's share of the validation images, uint8 [n, S, S, 3].

    The first process decodes all of them: it needs them again when training ends.
    """
    files = split.files if ranks.is_first else ranks.share(split.files)
    return load_inputs(files, contract, "reading validation")


def validate(
    network: nn.Module,
    pixels: Pixels,
    split: Split,
    contract: Contract,
    weights: Tensor | None,
    log_prior: Tensor | None,
    device: torch.device,
    bf16: bool,
    ranks: Ranks,
) -> dict[str, float]:
    """Loss and scores on all validation images, the same in every process.

    Args:
        network: to score; it is left in evaluation mode.
        pixels: what `read_validation` gave this process.
        split: the validation split.
        contract: of the network.
        weights: of each class in the loss [C], or None.
        log_prior: what the loss adds to the logits [C], or None.
        device: where the network is.
        bf16: whether to compute in bfloat16.
        ranks: the processes; all must call this.

    Raises:
        LesionliteError: if a logit is not finite; it names the layer.
    """
    mine = pixels[:: ranks.world] if ranks.is_first else pixels
    part = attempt(ranks, lambda: all_logits(network, mine, contract, device, bf16))
    logits = np.empty((len(split), part.shape[1]), np.float32)
    for rank, rows in enumerate(gather(ranks, part)):
        logits[rank :: ranks.world] = rows
    truth = np.asarray(split.targets)
    predicted = logits.argmax(1)
    weights = None if weights is None else weights.cpu()
    shifted = torch.from_numpy(logits) + (0 if log_prior is None else log_prior.cpu())
    loss = F.cross_entropy(shifted, torch.from_numpy(truth), weights)
    return {
        "val_loss": float(loss),
        **answer_scores(truth, predicted, len(split.labels)),
    }
