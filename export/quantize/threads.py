"""How many threads quantization uses."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

THREADS = 1  # two are hardly faster, because converters use the other cores at the same time


@contextmanager
def pinned_threads() -> Iterator[None]:
    """Use the same number of threads on every machine.

    PyTorch splits sums among its threads, so their number changes how results are rounded. Without
    this, the same flags would give different plans on machines with different numbers of cores or
    another OMP_NUM_THREADS.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
