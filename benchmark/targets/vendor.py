"""Targets whose compiler only the vendor's SDK has."""

from pathlib import Path

from lesionlite.benchmark.targets.verdict import Verdict

SDKS = {
    "mediatek": "it needs MediaTek's NeuroPilot SDK, which is not on PyPI",
    "tensor": "it needs Google's Tensor ML SDK, which is not on PyPI",
}


def judge(path: Path, target: str) -> Verdict:
    """Say which SDK would tell; nothing is compiled."""
    return Verdict(path.name, target, "unknown", reason=SDKS[target])
