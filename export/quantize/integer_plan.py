"""Quantize a float `.tflite` file wholly, for NPUs that compute no floats.

The layers of the plan are in 8 bits. What the plan leaves in float is computed with activations in
16 bits: norms, the residual stream, softmax, attention's sums and products, and the layers that 8
bits would harm. 16 bits have room for a margin above the largest value that calibration saw. They
have no room for the residual stream's outliers in 8.

The plan has every depthwise convolution in 8 bits, because Qualcomm's compiler takes none in 16:
see `make_integer_plan`. Weights have 8 bits everywhere; see `WeightRounder.round_for_kernels`.
"""

from typing import Any

import numpy as np

from lesionlite.console import track
from lesionlite.export.quantize.plan import Plan
from lesionlite.export.quantize.tflite_plan import Recipe
from lesionlite.export.quantize.wiring import Wiring
from lesionlite.train.data.images import Pixels

MARGIN = 2.0  # of the 16-bit ranges over the largest value of the calibration images
PIXEL_RANGE = 32767 / 128  # 16-bit pixels with a scale of 1/128, which is exact


def quantize_wholly(content: bytes, form: Any, plan: Plan, wiring: Wiring, images: Pixels) -> bytes:
    """Quantize every operator of a float `.tflite` file.

    Args:
        content: the file that litert-torch made from `form`.
        form: the float mobile form, with weights in 8 bits.
        plan: the layers and SiLUs in 8 bits, and their grids.
        wiring: the form's.
        images: calibration images, uint8 [N, S, S, 3].

    Returns:
        The content of the quantized file. It takes uint8 pixels, and gives float probabilities.

    Raises:
        KeyError: a layer is not in the file.
    """
    recipe = Recipe(content, form, plan, wiring)
    for tensor, largest in _largest(recipe.model.bytes(), images).items():
        recipe.bound(tensor, -MARGIN * largest, MARGIN * largest)
    for name in filter(recipe.has, plan.layers):
        recipe.layer_in_8_bits(name)
    for operator in recipe.model.graph.operators:
        if recipe.model.code(operator) == "CAST":
            recipe.bound(operator.outputs[0], -PIXEL_RANGE, PIXEL_RANGE)
        elif operator.outputs[0] not in recipe.written:
            recipe.compute(operator, 16)
    return recipe.apply()


def _largest(content: bytes, images: Pixels) -> dict[int, float]:
    """The largest |value| of each tensor that an operator writes, by executing the images."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    written = [int(row["outputs"][0]) for row in interpreter._get_ops_details()]
    found = dict.fromkeys(written, 0.0)
    for image in track(images, "16-bit ranges", len(images)):
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        for tensor, largest in found.items():
            found[tensor] = max(largest, float(np.abs(interpreter.get_tensor(tensor)).max()))
    return found
