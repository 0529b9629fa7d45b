"""Several processes that train one network, on one machine or on more, as torchrun starts them.

They do the same things in the same order; only the first one speaks and writes. What may fail is
done in `attempt`, so that all of them end together, with one sentence, when it does. Every machine
needs the data folder at the same path; the run folder and the starting weights are the first
process's alone, which tells the others what it read.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lesionlite.console import be_quiet
from lesionlite.errors import LesionliteError

T = TypeVar("T")
WAIT = timedelta(days=1)  # for the first process, which looks at every image, decodes, writes
LAST_WORDS = 10.0  # seconds in which the process that failed says why; torchrun then ends the rest


@dataclass(frozen=True)
class Ranks:
    """This process among all.

    Attributes:
        rank: its number, from 0.
        world: how many there are.
        local: its number on its machine, from 0; that of its GPU.
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def is_first(self) -> bool:
        """Whether it is the one that speaks and writes."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Every `world`-th item, from its own number on: all have about equally many."""
        return items[self.rank :: self.world]


SINGLE = Ranks()


@contextmanager
def process_group() -> Iterator[Ranks]:
    """Meet the other processes, if torchrun started some; leave them after the block."""
    world = int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1
    if world == 1:
        yield SINGLE
        return
    ranks = Ranks(int(os.environ["RANK"]), world, int(os.environ["LOCAL_RANK"]))
    be_quiet(not ranks.is_first)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=WAIT)
    yield ranks
    dist.destroy_process_group()  # not after an error: the others may be in the middle of a call


def attempt(ranks: Ranks, work: Callable[[], T], here: bool = True) -> T:
    """Do something that may fail, in all processes or in some; the others wait.

    Args:
        ranks: all must call this.
        work: what to do.
        here: whether this process does it.

    Returns:
        What `work` gives; None where it was not done.

    Raises:
        BaseException: what `work` raised, in the first process in which it did.
        SystemExit: with 2, in all others, if `work` failed in one.
    """
    result: Any = None
    error: BaseException | None = None
    try:
        result = work() if here else None
    except BaseException as raised:
        if ranks.world == 1:
            raise
        error = raised
    failed = gather(ranks, error is not None)
    if error is not None and failed.index(True) == ranks.rank:
        raise error
    if any(failed):
        time.sleep(LAST_WORDS)
        raise SystemExit(2)
    return result  # type: ignore[no-any-return]


def on_first_rank(ranks: Ranks, work: Callable[[], T]) -> T:
    """What `work` gives in the first process, which alone does it, in all; see `attempt`."""
    box = [attempt(ranks, work, ranks.is_first)]
    if ranks.world > 1:
        dist.broadcast_object_list(box)
    return box[0]


def first_on_machine(ranks: Ranks, work: Callable[[], T]) -> T:
    """Do `work` in the first process of each machine, then in the others, which find it done."""
    early = attempt(ranks, work, ranks.local == 0)
    return attempt(ranks, lambda: early if ranks.local == 0 else work())


def gather(ranks: Ranks, part: T) -> list[T]:
    """Every process's `part` in all processes, in the order of their numbers."""
    if ranks.world == 1:
        return [part]
    parts: list[Any] = [None] * ranks.world
    dist.all_gather_object(parts, part)
    return parts


def all_reduce_sum(ranks: Ranks, values: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    if ranks.world > 1:
        dist.all_reduce(values)
    return values


def device_of_rank(ranks: Ranks, device: torch.device) -> torch.device:
    """This process's own among a machine's GPUs; a CPU is shared.

    Raises:
        LesionliteError: more processes than GPUs, or a device that cannot be shared.
    """
    if ranks.world == 1 or device.type == "cpu":
        return device
    count = torch.cuda.device_count() if device.type == "cuda" else 0
    if ranks.local >= count:
        raise LesionliteError(
            f"several processes cannot share a device {device.type!r}, and there are {count} GPUs; "
            f"start as many (torchrun --nproc-per-node {max(1, count)}), or pass --device cpu"
        )
    torch.cuda.set_device(ranks.local)  # what NCCL takes where no tensor says it
    return torch.device("cuda", ranks.local)


def data_parallel(network: nn.Module, ranks: Ranks) -> nn.Module:
    """The network as training calls it: after `backward`, gradients are the mean over processes.

    All begin with the first one's weights. BatchNorm normalizes each process's part of the batch by
    itself, on CPUs and GPUs alike: torch has no SyncBatchNorm for CPUs, and the usual batch leaves
    each part images enough.
    """
    return network if ranks.world == 1 else nn.parallel.DistributedDataParallel(network)


def average_buffers(network: nn.Module, ranks: Ranks) -> None:
    """Give all processes the mean of their running statistics, so that all evaluate alike.

    Before each step torch gives them the first one's; after the last step each has its own.
    """
    for buffer in network.buffers():
        if ranks.world > 1 and buffer.is_floating_point():
            all_reduce_sum(ranks, buffer).div_(ranks.world)
