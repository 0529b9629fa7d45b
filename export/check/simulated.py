"""What PyTorch answers in a precision, and how far a right file's answers may be from that."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionlite.export.quantize.plan import Plan
    from lesionlite.train.data.images import Pixels

LIMITS = {"fp32": 0.001, "fp16": 0.05}
LIMIT = 0.1
"""The largest |difference of a probability| that is right in the other precisions."""
MOVES = 2.0
"""Except in fp32, a difference is right, too, up to this many times what one grey level changes.
Random weights amplify every difference: in mobilenetv3_large, a grey level changes a probability by
0.3. So the lower precisions find faults of converters, and do not judge what a precision costs."""


def simulate(
    form: Any, plan: "Plan | None", images: "Pixels"
) -> "tuple[NDArray[np.float32], float]":
    """What a form answers that follows a plan, and how much one grey level changes that.

    Args:
        form: the float mobile form; the plan's layers have the weights of 8-bit kernels.
        plan: that it follows, or None for fp32.
        images: uint8 [N, S, S, 3].

    Returns:
        Probabilities, float32 [N, C]; the largest change of one when each pixel changes by one.
    """
    import torch

    from lesionlite.export.quantize.quantized_form import quantize
    from lesionlite.export.quantize.search import logits
    from lesionlite.export.quantize.wiring import trace

    pixels = torch.from_numpy(images)
    planned = quantize(form, plan, trace(form, pixels[:1])) if plan else form
    signs = np.random.default_rng(0).choice(np.array([-1, 1], np.int16), images.shape)
    nudged = torch.from_numpy(np.clip(images + signs, 0, 255).astype(np.uint8))
    answers, moved = (logits(planned, some).softmax(1).numpy() for some in (pixels, nudged))
    return answers, float(np.abs(moved - answers).max())


def limit(precision: str, moved: float) -> float:
    """The largest |difference of a probability| that is right.

    Args:
        precision: its name.
        moved: what one grey level changes, as `simulate` gives it.
    """
    if precision == "fp32":
        return LIMITS["fp32"]
    return max(LIMITS.get(precision, LIMIT), MOVES * moved)
