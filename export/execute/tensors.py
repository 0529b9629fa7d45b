"""The intermediate float tensors that a run or an artifact computes for one image, in order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.format import named_function
from lesionlite.export.formats import FORMATS, format_of, read_contract
from lesionlite.export.manifest import refuse_changed
from lesionlite.export.quiet import quiet
from lesionlite.layout import is_run
from lesionlite.train.data.images import Pixels

Tensors = dict[str, NDArray[np.float32]]  # by name, in the order of execution
ReadTensors = Callable[[Pixels], Tensors]


def open_tensors(path: Path, other: Path) -> tuple[ReadTensors, Contract]:
    """Open a run or an artifact to read its intermediate tensors.

    Args:
        path: a run, which is executed as its mobile form in float32; or an artifact. Tensors of a
            run have the names of the form's modules. Tensors of an artifact have the names in the
            file, and integers are dequantized.
        other: what it is compared with. It decides in which variant of the form a run is executed.

    Returns:
        A function from uint8 [S, S, 3] to the tensors, probabilities last; and the contract.

    Raises:
        LesionliteError: the path is missing, damaged or differs from its manifest, or its format
            hides the tensors.
    """
    if is_run(path):
        variant = "" if is_run(other) else format_of(other).variant
        return _of_run(path, *([named_function(variant)] if variant else []))
    row = format_of(path)
    if not row.tensors:
        raise LesionliteError(
            f"{path} hides its intermediate tensors; compare runs and files of these kinds: "
            f"{', '.join(row.suffix for row in FORMATS.values() if row.tensors)}"
        )
    refuse_changed(path)
    contract = read_contract(path)
    with quiet():
        read: ReadTensors = named_function(row.tensors)(path)
    return read, contract


def _of_run(path: Path, *variant: Any) -> tuple[ReadTensors, Contract]:
    import torch
    from torch import Tensor, nn

    from lesionlite.export.forms.table import mobile_form
    from lesionlite.export.quantize.wiring import watching
    from lesionlite.train.model import load_run

    network, contract = load_run(path)
    form = mobile_form(network, contract, *variant)

    def read(image: Pixels) -> Tensors:
        found: Tensors = {}
        seen: set[int] = set()
        alive: list[Tensor] = []  # a new tensor could get the id of a freed one

        def note(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
            def hook(module: nn.Module, given: tuple[Tensor], made: Tensor) -> None:
                if id(made) not in seen:  # a block returns the tensor of its last layer
                    seen.add(id(made))
                    alive.append(made)
                    found[name] = made.numpy().copy()

            return hook

        with watching(form, {name: note(name) for name, _ in form.named_modules() if name}):
            found["probabilities"] = form(torch.from_numpy(image)[None]).numpy()
        return found

    return read, contract


def open_onnx(path: Path) -> ReadTensors:
    """Open an ONNX file to read the result of each node."""
    import onnx

    from lesionlite.export.writers.to_onnx import open_session

    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    kinds = {v.name: v for v in model.graph.value_info if v.type.tensor_type.elem_type in floats}
    given = {value.name for value in model.graph.output}
    names = [name for node in model.graph.node for name in node.output]
    constants = _constants(model.graph)
    shown = [name for name in names if name in kinds and name not in constants | given]
    model.graph.output.extend(kinds[name] for name in shown)
    order = [value.name for value in model.graph.output if value.name in shown]
    order += sorted(given)
    session, _ = open_session(model.SerializeToString(), 2, fuse=False)

    def read(image: Pixels) -> Tensors:
        values = session.run(order, {"image": np.ascontiguousarray(image[None])})
        return {n: v.astype(np.float32) for n, v in zip(order, values, strict=True)}

    return read


def _constants(graph: Any) -> set[str]:
    """Names of the weights, and of results that are computed from weights alone."""
    constants = {stored.name for stored in graph.initializer} | {""}
    for node in graph.node:
        if all(name in constants for name in node.input):
            constants.update(node.output)
    return constants


def open_tflite(path: Path) -> ReadTensors:
    """Open a TFLite file to read the result of each operation."""
    from ai_edge_litert.interpreter import OpResolverType

    from lesionlite.export.writers.to_tflite import open_interpreter

    # With LiteRT's built-in kernels, because XNNPACK hides its tensors.
    interpreter, _ = open_interpreter(
        path,
        2,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    source = interpreter.get_input_details()[0]["index"]
    details = {row["index"]: row for row in interpreter.get_tensor_details()}
    # Tensors are not numbered in the order of execution, but operations are listed in it.
    order = [at for op in interpreter._get_ops_details() for at in op["outputs"]]
    varying = _varying(interpreter, source)

    def read(image: Pixels) -> Tensors:
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        return {
            f"{details[at]['name']}#{at}": value
            for at in order
            if at in varying
            and (value := _real(interpreter.get_tensor(at), details[at])) is not None
        }

    return read


def _varying(interpreter: Any, source: int) -> set[int]:
    """Indices of the tensors that depend on the image."""
    varying = {source}
    for op in interpreter._get_ops_details():
        if varying.intersection(op["inputs"].tolist()):
            varying.update(op["outputs"].tolist())
    return varying


def _real(values: NDArray[Any], detail: Any) -> NDArray[np.float32] | None:
    """The dequantized values of a tensor; None for integers without a scale."""
    scale, zero = detail["quantization"]
    if np.issubdtype(values.dtype, np.floating):
        return values.astype(np.float32)
    return ((values.astype(np.float32) - zero) * scale).astype(np.float32) if scale else None


def open_coreml(path: Path) -> ReadTensors:
    """Open a Core ML package with the reference executor, to read its tensors."""
    from lesionlite.export.mil import execute as mil

    program = mil.load(path)
    return lambda image: dict(program.tensors(image))
