"""Executes a Core ML ML Program (.mlpackage) without Apple's runtime.

coremltools converts on every system, but predicts on macOS only. It can read a saved package on
every system, and the meaning of each operation is documented. So this module computes the saved
program operation by operation with torch. It reads the artifact itself, not the network that the
artifact was made from.

This proves the file's graph, weights, labels, image layout and scaling. It does not prove a phone's
arithmetic: values that the file declares fp16 are computed in float32 and rounded to fp16 after
each operation, while the Neural Engine and the GPU accumulate and round in their own ways.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lesionlite.errors import LesionliteError
from lesionlite.export.format import Runner, import_coremltools
from lesionlite.export.mil.graph import TYPES, Graph, type_of
from lesionlite.export.mil.inputs import Value, input_of
from lesionlite.export.mil.ops import COMPRESSED, OPS
from lesionlite.export.mil.spatial import UnknownOp
from lesionlite.export.writers.mlpackage import model_file

__all__ = ["Program", "UnknownOp", "load", "open_runner"]

Prediction = np.ndarray[Any, Any] | dict[str, float] | str


def load(path: Path) -> "Program":
    """Read a package, and nothing else, and make it ready to run.

    Args:
        path: the `.mlpackage` folder.

    Raises:
        UnknownOp: the program uses an operation, or a mode of one, that `mil/ops.py` lacks.
        LesionliteError: the package is missing, damaged or no ML Program, or has flexible shapes.
    """
    spec, weights = _read(path)
    try:
        return Program(spec, _function(spec, weights))
    except UnknownOp as error:
        raise UnknownOp(f"{error.what} in {path}") from error
    except LesionliteError as error:
        raise LesionliteError(f"{path}: {error}") from error


def open_runner(path: Path, threads: int) -> Runner:
    """Open a classifier for execution, as `Toolchain.load` does."""
    torch.set_num_threads(threads)
    program = load(path)
    name = "lesionlite reference executor for Core ML"
    return Runner(program.probabilities, name, native=False)


def _coremltools(module: str = "") -> Any:
    """A module of coremltools.

    Raises:
        LesionliteError: it is not installed.
    """
    try:
        return import_coremltools(module)
    except ModuleNotFoundError as error:
        raise LesionliteError(
            f"reading a Core ML package needs coremltools (no module {error.name!r}): "
            "pip install 'lesionlite[coreml]'"
        ) from error


def _read(path: Path) -> tuple[Any, Path]:
    """A package's model description (protobuf), and the folder of its weights."""
    if not path.exists():
        raise LesionliteError(f"there is no {path}")
    model = model_file(path)
    spec = _coremltools().proto.Model_pb2.Model()
    try:
        spec.ParseFromString(model.read_bytes())
    except Exception as error:  # an error of protobuf, or a missing file
        raise LesionliteError(f"{model} is missing or damaged ({error}); export again") from error
    if spec.WhichOneof("Type") != "mlProgram":
        raise LesionliteError(f"{path} is no ML Program; convert with convert_to='mlprogram'")
    return spec, model.parent / "weights"


def read_function(path: Path) -> Any:
    """The main function of a package in coremltools' classes, whatever operations it holds.

    Raises:
        LesionliteError: the package is missing, damaged or no ML Program.
    """
    return _main(*_read(path))


def _function(spec: Any, weights: Path) -> Any:
    """The program's main function; `UnknownOp` if `mil/ops.py` lacks one of its operations."""
    main = spec.mlProgram.functions.get("main")
    if main is None or main.opset not in main.block_specializations:
        raise LesionliteError("the program has no function 'main'")
    known = {"const", "classify"} | COMPRESSED | OPS.keys()
    types = {op.type for op in main.block_specializations[main.opset].operations}
    if unknown := sorted(types - known):  # coremltools would fail less clearly
        raise UnknownOp(", ".join(unknown))
    return _main(spec, weights)


def _main(spec: Any, weights: Path) -> Any:
    """The program's main function in coremltools' classes, with types and defaults filled in."""
    reader = _coremltools(".converters.mil.frontend.milproto.load")
    try:
        program = reader.load(spec, spec.specificationVersion, str(weights))
    except Exception as error:  # of many kinds, e.g. "index out of bounds" for truncated weights
        raise LesionliteError(
            f"the program or its weights are damaged ({error}); export again"
        ) from error
    return program.functions["main"]


class Program:
    """A Core ML program that is ready to run. `load` makes it.

    Attributes:
        inputs: shape of each input's tensor, by name; (1, 3, height, width) for an image.
        labels: a classifier's labels, in the order of its probabilities; else ().
    """

    def __init__(self, spec: Any, function: Any) -> None:
        """Compile the function that coremltools read from `spec`, and run it once on zeros.

        This first run compares the shape and type of every result with the file's. Then the
        operations are traced.

        Raises:
            UnknownOp: a result has another shape or type than the file declares.
            LesionliteError: an input, an output or the labels are of a kind that is not supported.
        """
        self._graph = Graph(function)
        features = {feature.name: feature for feature in spec.description.input}
        if features.keys() != function.inputs.keys():
            raise LesionliteError("the inputs described are not those of the program")
        self._inputs = [
            input_of(features[name], var, self._graph.slot(var))
            for name, var in function.inputs.items()
        ]
        self.inputs = {one.name: one.shape for one in self._inputs}
        self.labels: tuple[str, ...] = ()
        self._classifier: tuple[str, str, int] | None = None  # names of label and dict, slot
        self._outputs: list[tuple[str, int, str]] = []  # name, slot, MIL type
        for var in function.outputs:
            if var.op is not None and var.op.op_type == "classify":
                self._classify(var.op)
            else:
                self._outputs.append((var.name, self._graph.slot(var), type_of(var)))
        if any(out.type.WhichOneof("Type") == "imageType" for out in spec.description.output):
            raise LesionliteError("the program's output is an image")
        self._kept = [slot for _, slot, _ in self._outputs]
        if self._classifier is not None:
            self._kept.append(self._classifier[2])
        self._graph.free_all_but(set(self._kept))
        zeros = {x.slot: torch.zeros(x.shape, dtype=TYPES[x.type][0]) for x in self._inputs}
        with torch.inference_mode():
            self._graph.execute(zeros, check=True)
            self._function = self._graph.traced(zeros, self._kept)

    def _classify(self, op: Any) -> None:
        self.labels = tuple(op.classes.val)
        if not all(isinstance(label, str) for label in self.labels):
            raise LesionliteError("the labels are not text")
        if len(set(self.labels)) != len(self.labels):
            raise LesionliteError("two classes have the same label")
        label, probabilities = (var.name for var in op.outputs)
        self._classifier = label, probabilities, self._graph.slot(op.probabilities)

    def _run(self, values: Mapping[str, Value]) -> dict[int, Tensor]:
        """The outputs, by slot."""
        if values.keys() != self.inputs.keys():
            raise LesionliteError(
                f"the program takes the inputs {', '.join(self.inputs)}; got {', '.join(values)}"
            )
        with torch.inference_mode():
            results = self._function(*(x.tensor(values[x.name]) for x in self._inputs))
        return dict(zip(self._kept, results, strict=True))

    def predict(self, inputs: Mapping[str, Value]) -> dict[str, Prediction]:
        """Run the program as coremltools' `MLModel.predict` does.

        Args:
            inputs: values by input name. For an image input, uint8 RGB [H, W, 3] or [1, H, W, 3],
                or a PIL image of mode RGB, whatever channel order the program wants. For an array
                input, an array of its shape.

        Returns:
            Arrays by output name. For a classifier, the most probable label and a dictionary of
            probabilities by label, under the file's names, e.g. `classLabel`, `classLabel_probs`.

        Raises:
            LesionliteError: an input is missing, unknown, or of the wrong shape or type.
        """
        slots = self._run(inputs)
        answer: dict[str, Prediction] = {
            name: slots[slot].numpy().astype(TYPES[kind][1]) for name, slot, kind in self._outputs
        }
        if self._classifier is not None:
            label, probabilities, slot = self._classifier
            p = slots[slot].flatten()
            answer[label] = self.labels[int(p.argmax())]
            answer[probabilities] = dict(zip(self.labels, p.tolist(), strict=True))
        return answer

    def tensors(self, image: Value) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
        """The name and value, float32, of each float tensor that the program computes, in order.

        Raises:
            LesionliteError: the program has more than one input, or the image is wrong.
        """
        if len(self._inputs) != 1:
            raise LesionliteError("the program takes more than one input")
        found: list[tuple[str, Tensor]] = []
        source = self._inputs[0]
        with torch.inference_mode():
            fed = {source.slot: source.tensor(image)}
            self._graph.execute(fed, watch=lambda name, value: found.append((name, value)))
        for index, (name, value) in enumerate(found):
            if value.is_floating_point():
                yield f"{name} #{index}", value.numpy()

    def probabilities(self, image: Value) -> np.ndarray[Any, Any]:
        """Probabilities, float32 [C] in the order of `labels`, of one image as in `predict`.

        Raises:
            LesionliteError: the program is no classifier of one image, or the image is wrong.
        """
        if self._classifier is None or len(self._inputs) != 1:
            raise LesionliteError("the program is no classifier of one image")
        slots = self._run({self._inputs[0].name: image})
        return np.array(slots[self._classifier[2]].flatten().numpy(), np.float32)
