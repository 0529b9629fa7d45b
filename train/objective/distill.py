"""Learn the answers of a teacher, a larger network that is trained already (Hinton et al. 2015)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.layout import CONTRACT, is_run
from lesionlite.train.calibrate.prior import log_ratio
from lesionlite.train.model import load_run, predict_logits


class Teacher:
    """A run that answers the images of a training."""

    def __init__(self, network: nn.Module, contract: Contract, student: Contract) -> None:
        """Take a network whose labels are those of the student, in any order.

        Args:
            network: float32, in evaluation mode.
            contract: of the network.
            student: of the network that learns. If both tell their prior, the teacher's answers are
                moved to the student's: it may have learned for other frequencies of the classes.
        """
        self.network, self.contract = network, contract
        self.order = torch.tensor([contract.labels.index(label) for label in student.labels])
        shift = torch.zeros(len(student.labels))
        if contract.prior and student.prior:
            own = [contract.prior[index] for index in self.order]
            shift = torch.from_numpy(log_ratio(student.prior, own)).float()
        self.shift, self.bf16 = shift, False

    def to(self, device: torch.device, bf16: bool) -> "Teacher":
        """Move everything to a device, and compute there in bfloat16 if `bf16` is set."""
        self.bf16 = bf16
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.order, self.shift = self.order.to(device), self.shift.to(device)
        return self

    @torch.no_grad()
    def logits(self, pixels: Tensor) -> Tensor:
        """Its logits, float32 [B, C], in the student's order and for the student's prior.

        Args:
            pixels: uint8 [B, 3, S, S], augmented for the student; they are resized to the teacher's
                side.
        """
        side = self.contract.side
        if pixels.shape[-1] != side:
            enlarged = F.interpolate(pixels.float(), side, mode="bilinear", antialias=True)
            pixels = enlarged.round().clamp(0, 255)
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.bf16):
            found = predict_logits(self.network, pixels, self.contract).float()
        return found[:, self.order] / self.contract.temperature + self.shift

    def divergence(self, logits: Tensor, pixels: Tensor, temperature: float) -> Tensor:
        """T^2 times the mean divergence of the student's softened answers from the teacher's.

        Args:
            logits: the student's, float32 [B, C].
            pixels: what the student saw, uint8 [B, 3, S, S].
            temperature: T; both logits are divided by it (Hinton et al. 2015, section 2).
        """
        wanted = F.log_softmax(self.logits(pixels) / temperature, 1)
        found = F.log_softmax(logits / temperature, 1)
        apart = F.kl_div(found, wanted, reduction="batchmean", log_target=True)
        return temperature**2 * apart


def refuse_teacher(run: str, labels: Sequence[str]) -> None:
    """Refuse what --teacher names if it cannot teach these classes; the weights are not read.

    Raises:
        LesionliteError: it is no run, or has other labels.
    """
    folder = Path(run)
    if not is_run(folder):
        raise LesionliteError(f"--teacher: {run} is no run folder; `lesionlite train` makes one")
    own = Contract.read(folder / CONTRACT).labels
    if apart := sorted(set(own) ^ set(labels)):
        who = "the teacher" if apart[0] in labels else "the data"
        raise LesionliteError(
            f"--teacher: the classes of {run} must be those of the data, and {who} lacks "
            f"{apart[0]!r}; the teacher's are: {', '.join(own)}"
        )


def load_teacher(run: str, student: Contract, prior: Sequence[float]) -> Teacher:
    """Open the run that --teacher names.

    Args:
        run: its folder.
        student: contract of the network that learns.
        prior: of the student's training, [C].

    Raises:
        LesionliteError: as `refuse_teacher`, or its weights cannot be read.
    """
    refuse_teacher(run, student.labels)
    return Teacher(*load_run(Path(run)), replace(student, prior=tuple(prior)))
