"""The process that callgrind watches: opens a file, warms up, and counts some queries."""

import gc
import json
import sys
from pathlib import Path

from lesionlite.benchmark.instructions.callgrind import DUMP, START, STOP, ZERO, requests
from lesionlite.benchmark.protocol import Open, Opener
from lesionlite.benchmark.worker import open_once, query_of

WARM_UP, QUERIES = 3, 3


def main(path: str, opener: str, images: str) -> None:
    """Count queries of the first image of a .npy file.

    Args:
        path: the file to open.
        opener: JSON of an `Opener`.
        images: the .npy file, uint8 [N, S, S, 3].
    """
    subject = open_once(Open(Path(path), 1, Opener(**json.loads(opener))))
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
