"""The loss of a training: cross entropy by class, and agreement with a teacher."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lesionlite.train.config import TrainConfig
from lesionlite.train.devices.ranks import SINGLE, Ranks, all_reduce_sum
from lesionlite.train.objective.distill import Teacher
from lesionlite.train.objective.imbalance import MODES, ens_weights, log_prior


class Loss:
    """The loss of a batch.

    Attributes:
        weights: of each class [C], or None.
        log_prior: what is added to the logits [C], or None.
        teacher: whose answers the network learns, or None.
    """

    def __init__(
        self,
        config: TrainConfig,
        counts: Sequence[int],
        device: torch.device,
        teacher: Teacher | None = None,
        ranks: Ranks = SINGLE,
    ) -> None:
        """Take what a training's settings ask for.

        Args:
            config: of the training.
            counts: training images per class, [C].
            device: where logits will be.
            teacher: on that device.
            ranks: the processes that share each batch.
        """
        mode = MODES[config.imbalance]
        weights = ens_weights(counts, config.beta) if mode.weighs else None
        prior = log_prior(counts) if mode.adds_prior else None
        self.weights, self.log_prior = (
            None if values is None else torch.tensor(values, device=device)
            for values in (weights, prior)
        )
        self.config, self.teacher, self.ranks = config, teacher, ranks

    def __call__(
        self, logits: Tensor, targets: Sequence[tuple[float, Tensor]], pixels: Tensor
    ) -> tuple[Tensor, float]:
        """A scalar to call `backward` on, and the loss of the whole batch.

        Args:
            logits: [B, C] of this process's part of the batch.
            targets: class indices, int64 [B], each with its share of the loss; see `Mixture`.
            pixels: uint8 [B, 3, S, S], which the teacher sees.
        """
        logits = logits.float()
        shifted = logits if self.log_prior is None else logits + self.log_prior
        smoothing, share = self.config.label_smoothing, self.config.teacher_share
        loss, value = torch.zeros((), device=logits.device), 0.0
        for part, labels in targets:
            one, of_all = cross_entropy(shifted, labels, self.weights, smoothing, self.ranks)
            loss, value = loss + part * one, value + part * of_all
        if self.teacher is None:
            return loss, value
        apart = self.teacher.divergence(logits, pixels, self.config.teacher_temperature)
        sums = all_reduce_sum(self.ranks, apart.detach().clone())
        value = (1 - share) * value + share * float(sums) / self.ranks.world
        return (1 - share) * loss + share * apart, value


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    smoothing: float,
    ranks: Ranks = SINGLE,
) -> tuple[Tensor, float]:
    """Cross entropy, weighted by class, over the batch of all processes.

    A weighted mean divides by the sum of the images' weights. That sum differs between the parts of
    a batch, so the mean of the parts' means is not the mean over the batch. Every process therefore
    divides by the sum over the whole batch. Several processes then compute the gradient that one
    process would compute from the same images (BatchNorm apart, see `ranks.data_parallel`).

    Args:
        logits: float32 [B, C] of this process's part of the batch.
        targets: class indices, int64 [B].
        weights: one for each class [C], or None.
        smoothing: share of the target that is spread evenly over all classes.
        ranks: the processes; all must call this.

    Returns:
        A scalar to call `backward` on: averaged over the processes, its gradient is the batch's.
        And the loss of the whole batch, the same in all processes.
    """
    if ranks.world == 1:
        loss = F.cross_entropy(logits, targets, weights, label_smoothing=smoothing)
        return loss, float(loss.detach())
    loss = F.cross_entropy(logits, targets, weights, label_smoothing=smoothing, reduction="sum")
    weight = logits.new_tensor(len(targets)) if weights is None else weights[targets].sum()
    sums = torch.stack([loss.detach(), weight.to(loss.dtype)])
    total_loss, total_weight = all_reduce_sum(ranks, sums).unbind()
    return loss / total_weight * ranks.world, float(total_loss / total_weight)
