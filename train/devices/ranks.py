"""Training with several processes, on one machine or several, started by torchrun.

All processes do the same steps in the same order; only the first one prints and writes files. Steps
that may fail run inside `attempt`: if one fails, all processes exit, and one of them prints the
error. Every machine needs the data folder at the same path. Only the first process needs the run
folder and the starting weights; it sends the others what it read.
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
WAIT = timedelta(days=1)  # the others wait while the first process checks and decodes all images
EXIT_DELAY = 10.0  # seconds before the others exit, so that the failed one prints its error first


@dataclass(frozen=True)
class Ranks:
    """This process's place among the processes that train together (torch's terms).

    Attributes:
        rank: number of this process, from 0.
        world: number of processes.
        local: number of this process on its machine, from 0; it is also the number of its GPU.
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this is the process that prints and writes files."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's share: every `world`-th item, starting at its rank."""
        return items[self.rank :: self.world]


SINGLE = Ranks()


@contextmanager
def process_group() -> Iterator[Ranks]:
    """Join the process group if torchrun started this process; leave it after the block."""
    world = int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1
    if world == 1:
        yield SINGLE
        return
    ranks = Ranks(int(os.environ["RANK"]), world, int(os.environ["LOCAL_RANK"]))
    be_quiet(not ranks.is_first)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=WAIT)
    yield ranks
    dist.destroy_process_group()  # not after an error: others may still be communicating


def attempt(ranks: Ranks, work: Callable[[], T], here: bool = True) -> T:
    """Call a function that may fail, in all processes or in some; wait until all have finished.

    Args:
        ranks: the processes; all must call this.
        work: the function.
        here: whether this process calls it.

    Returns:
        The result of `work`; None if this process did not call it.

    Raises:
        BaseException: the error of `work`, in the first process in which it failed.
        SystemExit: with code 2, in all other processes, if `work` failed in any.
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
        time.sleep(EXIT_DELAY)
        raise SystemExit(2)
    return result  # type: ignore[no-any-return]


def on_first_rank(ranks: Ranks, work: Callable[[], T]) -> T:
    """Call `work` in the first process only, and return its result in all; see `attempt`."""
    box = [attempt(ranks, work, ranks.is_first)]
    if ranks.world > 1:
        dist.broadcast_object_list(box)
    return box[0]


def first_on_machine(ranks: Ranks, work: Callable[[], T]) -> T:
    """Call `work` in each machine's first process, then in the others.

    For work that fills a cache: the others find it filled.
    """
    early = attempt(ranks, work, ranks.local == 0)
    return attempt(ranks, lambda: early if ranks.local == 0 else work())


def gather(ranks: Ranks, part: T) -> list[T]:
    """The `part` of every process, in the order of ranks; the same list in all processes."""
    if ranks.world == 1:
        return [part]
    parts: list[Any] = [None] * ranks.world
    dist.all_gather_object(parts, part)
    return parts


def all_reduce_sum(ranks: Ranks, values: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place."""
    if ranks.world > 1:
        dist.all_reduce(values)
    return values


def device_of_rank(ranks: Ranks, device: torch.device) -> torch.device:
    """The device for this process: each gets its own GPU; all share the CPU.

    Raises:
        LesionliteError: if there are more processes than GPUs, or the device cannot be shared.
    """
    if ranks.world == 1 or device.type == "cpu":
        return device
    count = torch.cuda.device_count() if device.type == "cuda" else 0
    if ranks.local >= count:
        raise LesionliteError(
            f"several processes cannot share a device {device.type!r}, and there are {count} GPUs; "
            f"start as many (torchrun --nproc-per-node {max(1, count)}), or pass --device cpu"
        )
    torch.cuda.set_device(ranks.local)  # NCCL uses it for calls without a tensor
    return torch.device("cuda", ranks.local)


def data_parallel(network: nn.Module, ranks: Ranks) -> nn.Module:
    """Wrap a network so that `backward` averages the gradients over all processes.

    The wrapper also copies the first process's weights to the others. BatchNorm normalizes each
    process's part of the batch separately, on CPUs and GPUs: torch has no SyncBatchNorm for CPUs,
    and with the usual batch size each part has enough images.
    """
    return network if ranks.world == 1 else nn.parallel.DistributedDataParallel(network)


def average_buffers(network: nn.Module, ranks: Ranks) -> None:
    """Average BatchNorm's running statistics over all processes, so that all evaluate alike.

    Before each step torch copies the first process's buffers to the others, but not after the last.
    """
    for buffer in network.buffers():
        if ranks.world > 1 and buffer.is_floating_point():
            all_reduce_sum(ranks, buffer).div_(ranks.world)
