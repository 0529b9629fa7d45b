"""Quantize a float `.tflite` file by a plan, with ai-edge-quantizer.

The plan becomes a recipe (which operators are in 8 bits) and a range for each tensor.

litert-torch leaves PyTorch's quantize and dequantize operations in the file instead of turning them
into 8-bit kernels. So we convert the float network, and quantize the file. We find a layer's
operator by its weights, because the converter uses some tensor names twice, or for the wrong layer.
"""

from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.export.quantize.plan import Plan
from lesionlite.export.quantize.quant_params import QuantParams
from lesionlite.export.quantize.quantized_form import SIGMOID
from lesionlite.export.quantize.wiring import Wiring

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


class FloatModel:
    """A float `.tflite` file as a tree of objects. Its tensors are renamed to t0, t1 and so on."""

    def __init__(self, content: bytes) -> None:
        """Parse the content of a file."""
        from ai_edge_litert import schema_py_generated as schema

        self.codes = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
        root = schema.Model.GetRootAsModel(bytearray(content), 0)
        self.model = schema.ModelT.InitFromObj(root)
        self.graph = self.model.subgraphs[0]
        for index, tensor in enumerate(self.graph.tensors):
            tensor.name = f"t{index}".encode()
        self.buffer_of = schema.BufferT
        self.readers: dict[int, list[Any]] = {}
        self.writer: dict[int, Any] = {}
        for operator in self.graph.operators:
            self.writer.update(dict.fromkeys(operator.outputs, operator))
            for tensor in operator.inputs:
                self.readers.setdefault(tensor, []).append(operator)

    def code(self, operator: Any) -> str:
        """The operator's name, like CONV_2D."""
        entry = self.model.operatorCodes[operator.opcodeIndex]
        return str(self.codes[max(entry.builtinCode, entry.deprecatedBuiltinCode)])

    def bytes(self) -> bytes:
        """The content of the file."""
        import flatbuffers

        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def values(self, tensor: int) -> NDArray[np.float32]:
        """The values of a constant tensor, float32, flat."""
        data = self.model.buffers[self.graph.tensors[tensor].buffer].data
        return np.frombuffer(bytes(data), np.float32)

    def find(self, weight: NDArray[np.float32]) -> Any:
        """The operator that has these weights, float32 [O, I, H, W] or [O, I].

        Raises:
            KeyError: no operator has them.
        """
        if weight.ndim == 4:
            weight = weight.transpose((1, 2, 3, 0) if weight.shape[1] == 1 else (0, 2, 3, 1))
        flat = weight.ravel()
        for operator in self.graph.operators:
            if self.code(operator) in LAYERS:
                stored = self.values(operator.inputs[1])
                if stored.size == flat.size and np.array_equal(stored, flat):
                    return operator
        raise KeyError(f"no operator has weights of shape {weight.shape}")

    def add_to_bias(self, operator: Any, shift: NDArray[np.float32]) -> None:
        """Add `shift`, float32 [O], to the operator's bias.

        The bias is copied first, because layers without a bias share a tensor of zeros.
        """
        old = operator.inputs[2]
        tensor = deepcopy(self.graph.tensors[old])
        buffer = self.buffer_of()
        buffer.data = np.frombuffer((self.values(old) + shift).tobytes(), np.uint8)
        tensor.buffer = len(self.model.buffers)
        tensor.name = f"t{len(self.graph.tensors)}".encode()
        self.model.buffers.append(buffer)
        operator.inputs[2] = len(self.graph.tensors)
        self.graph.tensors.append(tensor)


def quantize(content: bytes, form: Any, plan: Plan, wiring: Wiring) -> bytes:
    """Quantize a float `.tflite` file by the plan.

    Args:
        content: the file that litert-torch made from `form`.
        form: the float mobile form with channels last.
        plan: the layers and SiLUs to quantize, and their grids.
        wiring: the form's.

    Returns:
        The content of the quantized file.

    Raises:
        KeyError: a layer of the plan is not in the file.
    """
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.quantizer import Quantizer
    from ai_edge_quantizer.recipe_manager import RecipeManager

    model, recipe = FloatModel(content), RecipeManager()
    ranges: dict[str, dict[str, NDArray[np.float32]]] = {}

    def in_int8(operator: Any) -> None:
        name = TFLOperationName(model.code(operator))
        recipe.add_static_config(f"^t{operator.outputs[0]};?$", name, 8, 8)

    def on_grid(tensor: int, grid: QuantParams) -> None:
        ranges[f"t{tensor}"] = {
            "min": np.full((1, 1, 1, 1), grid.low, np.float32),
            "max": np.full((1, 1, 1, 1), grid.high, np.float32),
        }

    for name in plan.layers:
        operator = model.find(form.get_submodule(name).weight.numpy())
        model.add_to_bias(operator, np.array(plan.corrections[name], np.float32))
        source = operator.inputs[0]
        on_grid(source, plan.grids[wiring.layers[name].input])
        on_grid(operator.outputs[0], plan.grids[wiring.layers[name].output])
        before = model.writer.get(source)
        if before is not None and model.code(before) == "PAD":
            on_grid(before.inputs[0], plan.grids[wiring.layers[name].input])
            in_int8(before)
        in_int8(operator)
        activation = wiring.layers[name].activation
        if activation in plan.activations:
            sigmoid, product = _silu(model, operator.outputs[0])
            on_grid(sigmoid.outputs[0], SIGMOID)
            on_grid(product.outputs[0], plan.grids[wiring.activations[activation].output])
            in_int8(sigmoid)
            in_int8(product)
    quantizer = Quantizer(model.bytes(), recipe.get_quantization_recipe())
    return bytes(quantizer.quantize(ranges, enable_progress_report=False).quantized_model)


def _silu(model: FloatModel, tensor: int) -> tuple[Any, Any]:
    """The sigmoid and the multiplication that compute the SiLU of a tensor."""
    by_code = {model.code(operator): operator for operator in model.readers[tensor]}
    return by_code["LOGISTIC"], by_code["MUL"]
