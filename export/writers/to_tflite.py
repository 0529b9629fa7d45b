"""TFLite, for LiteRT, the TensorFlow Lite runtime and MediaPipe."""

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lesionlite.contract import Contract
from lesionlite.export.format import Runner
from lesionlite.export.metadata import Metadata
from lesionlite.export.precision import INTEGERS
from lesionlite.export.quantize.quant_params import FEW_WEIGHTS
from lesionlite.export.quiet import quiet
from lesionlite.export.source import Source, example
from lesionlite.export.writers.tflite_file import (
    dequantize_pixels,
    layer_of,
    name_by_layer,
    pack,
    parse,
)
from lesionlite.export.writers.tflite_metadata import LABELS, build, embed
from lesionlite.train.data.images import Pixels

if TYPE_CHECKING:
    from torch import nn


def convert(source: Source, paths: dict[str, Path]) -> None:
    """Write `.tflite` files; see `Toolchain.convert`."""
    with quiet():
        networks = _Networks(source)
        for precision, path in paths.items():
            model, content = networks.file(precision)
            tree = parse(content)
            dequantize_pixels(tree, precision == INTEGERS)
            name_by_layer(tree, _layers(model))
            path.write_bytes(pack(tree))
            _attach(path, source.contract, source.metadata)


class _Networks:
    """The float files of a network, and the files that are made from them."""

    def __init__(self, source: Source) -> None:
        from lesionlite.export.forms.attention import NHWC

        self.source, self.image = source, example(source.contract)
        self.new_form = partial(source.form, NHWC)
        self.to_quantize = partial(source.to_quantize, NHWC)

    @cached_property
    def for_cpus(self) -> bytes:
        """The float file as CPUs compute it fastest."""
        return self._for_cpus("fp32")

    def _for_cpus(self, precision: str) -> bytes:
        from lesionlite.export.quantize.large_windows import in_pieces

        form = self.new_form(precision)
        in_pieces(form)
        return _float_model(form, self.image)

    def file(self, precision: str) -> tuple[bytes, bytes]:
        """A float file, and the file in some precision that is made from it."""
        if precision == "w8a8":
            return self._in_8_bits()
        if precision == INTEGERS:
            return self._in_integers()
        if precision == "fp16":
            return self.for_cpus, _shrink(self.for_cpus, 16, "float_casting")
        if precision == "w8":
            model = self.for_cpus if self.source.is_float(precision) else self._for_cpus(precision)
            return model, _shrink(model, 8, "min_max_uniform_quantize", FEW_WEIGHTS + 1)
        return self.for_cpus, self.for_cpus

    def _in_8_bits(self) -> tuple[bytes, bytes]:
        from lesionlite.export.quantize.large_windows import in_pieces
        from lesionlite.export.quantize.tflite_plan import quantize
        from lesionlite.export.quantize.wiring import trace

        plan = self.source.plan
        form, divided = (self.to_quantize(plan.layers) for _ in range(2))
        in_float = in_pieces(divided, plan)
        model = _float_model(divided, self.image)
        rest = replace(plan, layers=tuple(n for n in plan.layers if n not in in_float))
        return model, quantize(model, form, rest, trace(form, self.image))

    def _in_integers(self) -> tuple[bytes, bytes]:
        from lesionlite.export.quantize.integer_plan import quantize_wholly
        from lesionlite.export.quantize.wiring import trace

        plan, images = self.source.integer_plan, self.source.calibrated.images.numpy()
        form, spelled = (self.to_quantize() for _ in range(2))
        _spell_for_sixteen_bits(spelled)
        model = _float_model(spelled, self.image)
        return model, quantize_wholly(model, form, plan, trace(form, self.image), images)


def _layers(model: bytes) -> list[str]:
    """The layer of each tensor of a float file."""
    return [layer_of(tensor.name.decode()) for tensor in parse(model).subgraphs[0].tensors]


def _spell_for_sixteen_bits(form: "nn.Module") -> None:
    """Spell units of a form in operations that exist in 16 bits.

    TFLite's HARD_SWISH, SQUARED_DIFFERENCE (of a LayerNorm), ABS and L2_NORMALIZATION (of a length)
    take 8 bits or float, not 16 bits (LiteRT 2.3; ai-edge-quantizer refuses them). This can go when
    they do. Between two convolutions, the converter (litert-torch 0.10) turns a softmax into a
    softmax over an inner axis, which needs REDUCE_MAX; in three axes it stays as it is.
    """
    from torch import nn

    from lesionlite.export.forms import units
    from lesionlite.export.quantize.quantized_form import swap

    spelled: dict[str, nn.Module] = {}
    for name, unit in form.named_modules():
        if isinstance(unit, nn.Hardswish):
            spelled[name] = units.HardSwish()
        elif isinstance(unit, nn.LayerNorm) and len(unit.normalized_shape) == 1:
            spelled[name] = units.Norm(unit)
        elif isinstance(unit, units.Length):
            spelled[name] = units.LengthOfMeans()
        elif isinstance(unit, nn.Softmax) and unit.dim == -1:
            spelled[name] = units.SoftmaxInThreeAxes()
    for name, unit in spelled.items():
        swap(form, name, unit)


def _float_model(form: "nn.Module", image: Any) -> bytes:
    import litert_torch

    return bytes(litert_torch.convert(form, (image,)).model_content())


def _shrink(model: bytes, bits: int, algorithm: str, fewest: int = 0) -> bytes:
    """Weights in fewer bits, which the runtime turns back into float when it opens the file.

    Tensors with less than `fewest` values stay as they are.
    """
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.quantizer import Quantizer
    from ai_edge_quantizer.recipe_manager import RecipeManager

    from lesionlite.export.quantize.tflite_plan import LAYERS

    recipe = RecipeManager()
    for name in LAYERS:
        operation = TFLOperationName(name)
        recipe.add_weight_only_config(".*", operation, bits, algorithm_key=algorithm)
    rows = recipe.get_quantization_recipe()
    for row in rows:
        row["op_config"]["min_weight_elements"] = fewest
    quantizer = Quantizer(model, rows)
    return bytes(quantizer.quantize(None, enable_progress_report=False).quantized_model)


def _attach(path: Path, contract: Contract, metadata: Metadata) -> None:
    """Embed TFLite Metadata, and append their associated files: the contract and the labels."""
    path.write_bytes(embed(path.read_bytes(), build(contract, metadata)))
    append_files(path, contract)


def append_files(path: Path, contract: Contract) -> None:
    """Append the contract and the labels to a file, as a ZIP archive."""
    with zipfile.ZipFile(path, "a") as archive:  # a fixed date: the same model, the same bytes
        archive.writestr(zipfile.ZipInfo("contract.json"), contract.to_json())
        archive.writestr(zipfile.ZipInfo(LABELS), "\n".join(contract.labels) + "\n")


def read_contract(path: Path) -> tuple[str, Sequence[str]]:
    """The contract's JSON text and the labels out of the associated files."""
    with zipfile.ZipFile(path) as archive:
        contract, labels = (archive.read(name).decode() for name in ("contract.json", LABELS))
    return contract, labels.splitlines()


def load(path: Path, threads: int) -> Runner:
    """Open with LiteRT and its XNNPACK delegate."""
    with quiet():
        return runner(*open_interpreter(path, threads))


def runner(interpreter: Any, runtime: str) -> Runner:
    """A Runner for an interpreter of one of our files, whose tensors are allocated."""
    source = interpreter.get_input_details()[0]["index"]
    result = interpreter.get_output_details()[0]["index"]

    def classify(image: Pixels) -> Any:
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        return interpreter.get_tensor(result)[0]

    return Runner(classify, runtime)


def open_interpreter(path: Path, threads: int, **options: Any) -> tuple[Any, str]:
    """LiteRT's interpreter for any file, with its tensors allocated, and the runtime's version."""
    from importlib.metadata import version

    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads, **options)
    interpreter.allocate_tensors()
    return interpreter, f"ai-edge-litert {version('ai-edge-litert')}"
