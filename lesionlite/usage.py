"""How long work takes, and how much memory it needs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import perf_counter, time

import psutil

# Seconds between two looks at the memory. A look takes 2 ms of a core that others are timed on.
INTERVAL = 0.5
# A process younger than so many seconds may still be a copy of its parent, with all its memory.
YOUNG = 0.2


@dataclass
class Usage:
    """What a block of work used; complete once the block has ended.

    Attributes:
        seconds: duration.
        peak_memory_bytes: most memory that this process and those it started held at one time.
            Memory that several processes share counts for each.
    """

    seconds: float = 0.0
    peak_memory_bytes: int = 0

    def __str__(self) -> str:
        """Such as "2:05 min, 1.9 GB"."""
        return f"{in_minutes(self.seconds)}, {self.peak_memory_bytes / 1e9:.1f} GB"


def in_minutes(seconds: float) -> str:
    """A duration, such as "2:05 min"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min"


def in_about(seconds: float) -> str:
    """A rough duration, such as "about 2 min"."""
    if seconds < 45:
        return "less than a minute"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"about {hours}:{minutes:02} h"
    return f"about {minutes} min"


@contextmanager
def measured() -> Iterator[Usage]:
    """Measure a block of work."""
    usage, end = Usage(), Event()
    watcher = Thread(target=_watch, args=(usage, end), daemon=True)
    watcher.start()
    started = perf_counter()
    try:
        yield usage
    finally:
        usage.seconds = perf_counter() - started
        end.set()
        watcher.join()


def _watch(usage: Usage, end: Event) -> None:
    own = psutil.Process()
    while True:
        held = 0
        for process in (own, *own.children(recursive=True)):
            with suppress(psutil.Error):  # it has ended
                if process == own or time() - process.create_time() > YOUNG:
                    held += process.memory_info().rss
        usage.peak_memory_bytes = max(usage.peak_memory_bytes, held)
        if end.wait(INTERVAL):
            return


def peak_memory() -> int:
    """The most memory that this process has held so far, in bytes.

    On Linux, getrusage's peak of a new process begins with that of its parent (`exec_mmap` in
    fs/exec.c), so a worker of a large process would report a gigabyte or more of its parent's.
    """
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource  # Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS reports bytes
