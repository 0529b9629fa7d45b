"""The machine on which a report was made."""

import os
import platform
from pathlib import Path
from typing import Any

Document = dict[str, Any]


def machine(threads: int) -> Document:
    """The machine on which latencies were measured."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "threads": threads,
    }


def _processor() -> str:
    """The processor's name. Linux has it in /proc/cpuinfo only."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
