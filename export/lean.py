"""Leave out work of the toolchains that no file needs."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lean() -> Iterator[None]:
    """Convert in four fifths of the time, with the same results.

    Python would look for garbage again and again among millions of objects that are in use. And
    torch (2.13) gives every node of a graph a copy of its history, in every pass over the graph
    (`NodeSource` in torch/fx/traceback.py). Nobody changes a history, so here nodes share it. That
    part can go when torch does so.
    """
    from torch.fx.traceback import NodeSource

    collects, copies = gc.isenabled(), not hasattr(NodeSource, "__deepcopy__")
    gc.disable()
    NodeSource.__deepcopy__ = lambda self, _: self  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if copies:
            del NodeSource.__deepcopy__  # type: ignore[attr-defined]
        if collects:
            gc.enable()
        gc.collect()
