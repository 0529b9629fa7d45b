"""Quantize a float `.tflite` file by a plan, with ai-edge-quantizer.

The plan becomes a recipe (which operators are in how many bits) and a range for each tensor.

litert-torch leaves PyTorch's quantize and dequantize operations in the file instead of turning them
into 8-bit kernels. So we convert the float network, and quantize the file. We find a layer's
operator by its weights, because the converter uses some tensor names twice, or for the wrong layer.
"""

from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.export.quantize.plan import Plan
from lesionlite.export.quantize.quant_params import LEVELS, QuantParams
from lesionlite.export.quantize.quantized_form import SIGMOID
from lesionlite.export.quantize.wiring import Node, Wiring
from lesionlite.export.writers.tflite_file import constant, operator_names, pack, parse

PASSING = ("PAD", "MAX_POOL_2D")  # they leave values on their grid
LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


class FloatModel:
    """A float `.tflite` file as a tree of objects. Its tensors are renamed to t0, t1 and so on."""

    def __init__(self, content: bytes) -> None:
        """Parse the content of a file."""
        self.model = parse(content)
        self._names = operator_names(self.model)
        self.graph = self.model.subgraphs[0]
        for index, tensor in enumerate(self.graph.tensors):
            tensor.name = f"t{index}".encode()
        self.readers: dict[int, list[Any]] = {}
        self.writer: dict[int, Any] = {}
        for operator in self.graph.operators:
            self.writer.update(dict.fromkeys(operator.outputs, operator))
            for tensor in operator.inputs:
                self.readers.setdefault(tensor, []).append(operator)

    def code(self, operator: Any) -> str:
        """The operator's name, like CONV_2D."""
        return self._names[int(operator.opcodeIndex)]

    def bytes(self) -> bytes:
        """The content of the file."""
        return pack(self.model)

    def values(self, tensor: int) -> NDArray[np.float32]:
        """The values of a constant tensor, float32, flat."""
        return constant(self.model, tensor, np.float32)

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

    def reshaped(self, tensor: int) -> Any | None:
        """The RESHAPE that alone reads a tensor, or None."""
        readers = self.readers.get(tensor, [])
        alone = len(readers) == 1 and self.code(readers[0]) == "RESHAPE"
        return readers[0] if alone else None

    def add_to_bias(self, operator: Any, shift: NDArray[np.float32]) -> None:
        """Add `shift`, float32 [O], to the operator's bias.

        The bias is copied first, because layers without a bias share a tensor of zeros, or have -1
        in its place.
        """
        old = operator.inputs[2]
        tensor = deepcopy(self.graph.tensors[operator.inputs[1] if old < 0 else old])
        tensor.shape = [len(shift)]
        buffer = deepcopy(self.model.buffers[tensor.buffer])
        bias = shift if old < 0 else self.values(old) + shift
        buffer.data = np.frombuffer(bias.astype(np.float32).tobytes(), np.uint8)
        tensor.buffer = len(self.model.buffers)
        tensor.name = f"t{len(self.graph.tensors)}".encode()
        self.model.buffers.append(buffer)
        operator.inputs[2] = len(self.graph.tensors)
        self.graph.tensors.append(tensor)


class Recipe:
    """Which operators of a float file are in how many bits, and the range of each tensor."""

    def __init__(self, content: bytes, form: Any, plan: Plan, wiring: Wiring) -> None:
        """Start with everything in float.

        Args:
            content: the file that litert-torch made from `form`.
            form: the float mobile form.
            plan: the grids and the bias corrections.
            wiring: the form's.
        """
        from ai_edge_quantizer.recipe_manager import RecipeManager

        self.model, self._rows = FloatModel(content), RecipeManager()
        self._form, self._plan, self._wiring = form, plan, wiring
        self._ranges: dict[str, dict[str, NDArray[np.float32]]] = {}
        self.written: set[int] = set()  # outputs of the operators in integers

    def operator(self, layer: str) -> Any:
        """The operator of a layer, by the layer's name.

        Raises:
            KeyError: the layer is not in the file.
        """
        return self.model.find(self._form.get_submodule(layer).weight.numpy())

    def has(self, layer: str) -> bool:
        """Whether a layer is in the file; the converter drops one whose result is not used."""
        parent, _, child = layer.rpartition(".")
        return child not in getattr(self._form.get_submodule(parent), "dropped", ())

    def compute(self, operator: Any, bits: int) -> None:
        """Compute an operator with activations of so many bits; its weights have 8."""
        from ai_edge_quantizer.qtyping import TFLOperationName

        name = TFLOperationName(self.model.code(operator))
        self._rows.add_static_config(f"^t{operator.outputs[0]};?$", name, bits, 8)
        self.written.add(operator.outputs[0])

    def bound(self, tensor: int, low: float, high: float) -> None:
        """Set the range of a tensor."""
        self._ranges[f"t{tensor}"] = {
            "min": np.full((1, 1, 1, 1), low, np.float32),
            "max": np.full((1, 1, 1, 1), high, np.float32),
        }

    def layer_in_8_bits(self, name: str) -> None:
        """Compute a layer in 8 bits, and the SiLU after it if the plan has that in 8 bits.

        Raises:
            KeyError: the layer is not in the file.
        """
        model, node, grids = self.model, self._wiring.layers[name], self._plan.grids
        operator = self.operator(name)
        if name in self._plan.corrections:
            model.add_to_bias(operator, np.array(self._plan.corrections[name], np.float32))
        source = operator.inputs[0]
        self._on_grid(source, grids[node.input])
        self._on_grid(operator.outputs[0], self._output(node))
        before = model.writer.get(source)
        while before is not None and model.code(before) in PASSING:
            self._on_grid(before.inputs[0], grids[node.input])
            self.compute(before, 8)
            before = model.writer.get(before.inputs[0])
        self.compute(operator, 8)
        if node.activation in self._plan.activations:
            tensor = operator.outputs[0]
            while (moved := model.reshaped(tensor)) is not None:
                self._on_grid(moved.outputs[0], self._output(node))
                self.compute(moved, 8)
                tensor = moved.outputs[0]
            sigmoid, product = _silu(model, tensor)
            self._on_grid(sigmoid.outputs[0], SIGMOID)
            self._on_grid(
                product.outputs[0], grids[self._wiring.activations[node.activation].output]
            )
            self.compute(sigmoid, 8)
            self.compute(product, 8)

    def _output(self, node: Node) -> QuantParams:
        """The grid of what a layer's operator writes.

        The converter writes a hard sigmoid as ReLU6(x + 3) / 6, and lets the layer before it
        compute the ReLU6.
        """
        after = self._wiring.activations.get(node.activation)
        if after is not None and after.kind == "Hardsigmoid":
            return QuantParams(6 / LEVELS, 0)
        return self._plan.grids[node.output]

    def _on_grid(self, tensor: int, grid: QuantParams) -> None:
        self.bound(tensor, grid.low, grid.high)

    def apply(self) -> bytes:
        """The content of the quantized file."""
        from ai_edge_quantizer.quantizer import Quantizer

        quantizer = Quantizer(self.model.bytes(), self._rows.get_quantization_recipe())
        made = quantizer.quantize(self._ranges, enable_progress_report=False)
        return bytes(made.quantized_model)


def quantize(content: bytes, form: Any, plan: Plan, wiring: Wiring) -> bytes:
    """Quantize a float `.tflite` file by the plan.

    Args:
        content: the file that litert-torch made from `form`.
        form: the float mobile form.
        plan: the layers and SiLUs to quantize, and their grids.
        wiring: the form's.

    Returns:
        The content of the quantized file.

    Raises:
        KeyError: a layer of the plan is not in the file.
    """
    recipe = Recipe(content, form, plan, wiring)
    for name in filter(recipe.has, plan.layers):
        recipe.layer_in_8_bits(name)
    return recipe.apply()


def _silu(model: FloatModel, tensor: int) -> tuple[Any, Any]:
    """The sigmoid and the multiplication that compute the SiLU of a tensor."""
    by_code = {model.code(operator): operator for operator in model.readers[tensor]}
    return by_code["LOGISTIC"], by_code["MUL"]
