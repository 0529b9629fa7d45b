"""The process that callgrind watches: opens a file, warms up, and counts some queries."""

import gc
import sys
from pathlib import Path

from lesionlite.benchmark.instructions.callgrind import DUMP, START, STOP, ZERO, requests
from lesionlite.benchmark.protocol import Open, from_line
from lesionlite.benchmark.worker import open_once, query_of

WARM_UP, QUERIES = 3, 3


def main(line: str, images: str) -> None:
    """Count queries of the first image of a .npy file.

    Args:
        line: an `Open`, as `to_line` writes it.
        images: the .npy file, uint8 [N, S, S, 3].
    """
    command = from_line(line)
    assert isinstance(command, Open)
    subject = open_once(command)
    query, request = query_of(subject, Path(images)), requests()
    for _ in range(WARM_UP):
        query()
    gc.disable()  # it comes after a number of allocations, which is not the same in every process
    request(START)
    query()  # callgrind forgets here what it knew of the stack
    request(ZERO)
    for _ in range(QUERIES):
        query()
    request(DUMP)
    request(STOP)


if __name__ == "__main__":
    main(*sys.argv[1:])
