"""Quantize a float `.tflite` file wholly, for NPUs that compute no floats.

The layers of the plan are in 8 bits. What the plan leaves in float is computed with activations in
16 bits: norms, the residual stream, softmax, attention's sums and products, and the layers that 8
bits would harm. 16 bits have room for a margin above the largest value that calibration saw. They
have no room for the residual stream's outliers in 8.

The plan has every depthwise convolution in 8 bits, because Qualcomm's compiler takes none in 16:
see `make_integer_plan`. Weights have 8 bits everywhere. The other layers get a bias correction
here; see `expected_shift`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lesionlite.console import track
from lesionlite.export.quantize.plan import Plan
from lesionlite.export.quantize.quant_params import expected_shift, to_int8
from lesionlite.export.quantize.tflite_plan import Recipe
from lesionlite.export.quantize.wiring import Wiring
from lesionlite.train.data.images import Pixels

MARGIN = 2.0  # of the 16-bit ranges over the largest value of the calibration images
PIXEL_RANGE = 32767 / 128  # 16-bit pixels with a scale of 1/128, which is exact


@dataclass
class _Observed:
    """Of one tensor: the largest |value|, and the mean of each channel over all images."""

    largest: float = 0.0
    mean: NDArray[np.float64] | float = 0.0


def quantize_wholly(content: bytes, form: Any, plan: Plan, wiring: Wiring, images: Pixels) -> bytes:
    """Quantize every operator of a float `.tflite` file.

    Args:
        content: the file that litert-torch made from `form`.
        form: the float mobile form.
        plan: the layers and SiLUs in 8 bits, and their grids.
        wiring: the form's.
        images: calibration images, uint8 [N, S, S, 3].

    Returns:
        The content of the quantized file. It takes uint8 pixels, and gives float probabilities.

    Raises:
        KeyError: a layer is not in the file.
    """
    recipe = Recipe(content, form, plan, wiring)
    names = [name for name in wiring.layers if recipe.has(name)]
    others = {name: recipe.operator(name) for name in names if name not in plan.layers}
    observed = _observe(recipe.model.bytes(), images)
    for tensor, found in observed.items():
        recipe.bound(tensor, -MARGIN * found.largest, MARGIN * found.largest)
    for name, operator in others.items():
        weight = form.get_submodule(name).weight.numpy()
        shift = _expected_shift(weight, np.asarray(observed[operator.inputs[0]].mean))
        recipe.model.add_to_bias(operator, -shift)
    for name in filter(recipe.has, plan.layers):
        recipe.layer_in_8_bits(name)
    for operator in recipe.model.graph.operators:
        if recipe.model.code(operator) == "CAST":
            recipe.bound(operator.outputs[0], -PIXEL_RANGE, PIXEL_RANGE)
        elif operator.outputs[0] not in recipe.written:
            recipe.compute(operator, 16)
    return recipe.apply()


def _observe(content: bytes, images: Pixels) -> dict[int, _Observed]:
    """What each tensor that an operator writes holds, by executing the images."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    written = [int(row["outputs"][0]) for row in interpreter._get_ops_details()]
    observed = {tensor: _Observed() for tensor in written}
    for image in track(images, "16-bit ranges", len(images)):
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        for tensor, found in observed.items():
            values = interpreter.get_tensor(tensor)
            found.largest = max(found.largest, float(np.abs(values).max()))
            mean = values.reshape(-1, values.shape[-1]).mean(0, dtype=np.float64)
            found.mean = found.mean + mean / len(images)
    return observed


def _expected_shift(weight: NDArray[np.float32], mean: NDArray[np.float64]) -> NDArray[np.float32]:
    """How much 8-bit weights shift each output channel, float32 [O].

    Args:
        weight: float32 [O, I, H, W].
        mean: of each input channel.
    """
    exact = torch.from_numpy(weight)
    stored, scales = to_int8(exact)
    shift = expected_shift(stored * scales - exact, torch.from_numpy(mean))
    return np.asarray(shift.numpy(), np.float32)
