"""A quantization plan in the words of ai-edge-quantizer: a recipe, and the range of each tensor.

litert-torch does not turn PyTorch's own quantize and dequantize operations into 8-bit kernels (it
leaves them in the file as they are), so the float file is quantized. Its operators are recognized
by their weights: the converter's tensor names repeat, and some are another layer's.
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
    """A float `.tflite` file as a tree of objects, with a name of its own for every tensor."""

    def __init__(self, content: bytes) -> None:
        """Read the bytes of a file."""
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
        """The file."""
        import flatbuffers

        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def values(self, tensor: int) -> NDArray[np.float32]:
        """A constant tensor."""
        data = self.model.buffers[self.graph.tensors[tensor].buffer].data
        return np.frombuffer(bytes(data), np.float32)

    def find(self, weight: NDArray[np.float32]) -> Any:
        """The operator that holds a layer's weights [O, I, H, W] or [O, I].

        Raises:
            KeyError: if none does.
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
        """Give the operator a bias of its own; layers without bias share a zero one."""
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
    """The bytes of a float `.tflite` file, quantized by the plan.

    Args:
        content: made from `form` by litert-torch.
        form: the float mobile form with channels last.
        plan: which layers and SiLUs, and their grids.
        wiring: of the form.
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
    """The two operators that compute x * sigmoid(x) of a tensor."""
    by_code = {model.code(operator): operator for operator in model.readers[tensor]}
    return by_code["LOGISTIC"], by_code["MUL"]
