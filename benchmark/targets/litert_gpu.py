"""What LiteRT's GPU accelerator takes of a TFLite file."""

import re
from pathlib import Path

from lesionlite.benchmark.elsewhere.gpu import open_model, refusal, refuse_no_gpu
from lesionlite.benchmark.targets.tflite_layers import operators
from lesionlite.benchmark.targets.verdict import Left, Verdict
from lesionlite.export.writers.tflite_file import parse

SHARE = re.compile(r"(\d+) operations will run on the GPU, and the remaining (\d+) operations")
REASON = re.compile(r"^([A-Z][A-Z0-9_]+): (.+)$", re.MULTILINE)


def judge(path: Path, target: str) -> Verdict:
    """Open a file on the GPU. Call it in a process of its own: see `open_model`.

    Args:
        path: A TFLite file.
        target: Name of the target, for the verdict.

    Raises:
        LesionliteError: The accelerator cannot run on this machine.
    """
    refuse_no_gpu()
    known = operators(parse(path.read_bytes()))
    model, log = open_model(path)
    if model is not None:
        return Verdict(path.name, target, "wholly", 1, len(known), len(known))
    whys = dict(REASON.findall(log))
    left = tuple(Left(name, layer, whys[name]) for name, layer in known if name in whys)
    # Apps ask for the whole file, and LiteRT refuses it. With the CPU as a second choice, the share
    # before the first operation that is not taken would run on the GPU.
    share = SHARE.search(log)
    taken = int(share[1]) if share else 0
    reason = "" if left else refusal(log)
    return Verdict(path.name, target, "refused", 0, taken, len(known), left, reason)
