"""Core AI, Apple's format for iOS 27 and macOS 27, executed by Apple's own runtime."""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lesionlite.contract import Contract
from lesionlite.documents import read_json
from lesionlite.errors import LesionliteError
from lesionlite.export.format import Runner
from lesionlite.export.formats import FORMATS
from lesionlite.export.metadata import Metadata
from lesionlite.export.quantize.quant_params import FEW_WEIGHTS
from lesionlite.export.quiet import quiet
from lesionlite.export.source import Source, example
from lesionlite.train.data.images import Pixels

if TYPE_CHECKING:
    from torch import nn

METADATA = "metadata.json"
KEY, LABELS = "lesionlite.contract", "labels"
NAME = re.compile(r"resource_\d+")

T = TypeVar("T")


def convert(source: Source, paths: dict[str, Path]) -> None:
    """Write `.aimodel` folders; see `Toolchain.convert`."""
    from lesionlite.export.forms.attention import NCHW

    with quiet():
        for precision, path in paths.items():
            form = source.form(NCHW, precision)
            if precision == "fp16":
                form = _in_half(form)
            if precision == "w8":
                _quantize_weights(form)
            _save(_program(form, source.contract), path, source)


def _in_half(form: Any) -> "nn.Module":
    import torch
    from torch import Tensor, nn

    form.half()
    form.dtype = torch.float16

    class InHalf(nn.Module):
        """The form in float16, with float32 probabilities, as every file has them."""

        def __init__(self) -> None:
            super().__init__()
            self.form = form

        def forward(self, image: Tensor) -> Tensor:
            return form(image).float()  # type: ignore[no-any-return]

    return InHalf().eval()


def _quantize_weights(form: "nn.Module") -> None:
    """Store the weights of large layers as int8, with a scale for each output channel."""
    from torch import nn

    from lesionlite.export.quantize.quantized_form import QuantizedLayer, swap

    for name, layer in list(form.named_modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.weight.numel() > FEW_WEIGHTS:
            swap(form, name, QuantizedLayer(layer, nn.Identity(), nn.Identity()))


def _program(form: "nn.Module", contract: Contract) -> Any:
    """The Core AI program of a form: uint8 [1, S, S, 3] -> probabilities, float32 [1, C]."""
    import torch
    from coreai_torch import TorchConverter, get_decomp_table
    from coreai_torch.debugging.debug_info import strip_debug_info

    with torch.no_grad():
        exported = torch.export.export(form.eval(), (example(contract),))
        exported = exported.run_decompositions(get_decomp_table())
    converter = TorchConverter(mode=TorchConverter.Mode.RELEASE)
    for name, lower in (
        ("quantize_per_tensor", _quantize),
        ("dequantize_per_tensor", _dequantize),
        ("dequantize_per_channel", _dequantize_channels),
    ):
        converter.register_torch_lowering(f"quantized_decomposed::{name}.default")(lower)
    names = {"input_names": ["image"], "output_names": ["probabilities"]}
    program = converter.add_exported_program(exported, **names).to_coreai()
    strip_debug_info(program)  # it names files of this machine
    return _with_stable_names(program)


def _quantize(values: dict[str, Any], node: Any, loc: Any) -> Any:
    from coreai._compiler.dialects import coreai

    x, *grid = node.args
    return coreai.quantize(values[x.name], *_constants(grid, loc), loc=loc)


def _dequantize(values: dict[str, Any], node: Any, loc: Any) -> Any:
    from coreai._compiler.dialects import coreai

    stored, *grid = node.args
    return coreai.dequantize(values[stored.name], *_constants(grid, loc), loc=loc)


def _constants(grid: Sequence[Any], loc: Any) -> tuple[Any, ...]:
    """What Core AI's quantize and dequantize take: scale, two offsets, and an axis."""
    import torch
    from coreai._compiler.dialects import coreai

    scale, zero_point, _, _, kind = grid
    stored = np.int8 if kind == torch.int8 else np.uint8
    numbers = np.float32(scale), stored(zero_point), np.float32(0), np.int32(0)
    return tuple(coreai.constant(np.array(number), loc=loc) for number in numbers)


def _dequantize_channels(values: dict[str, Any], node: Any, loc: Any) -> Any:
    """Weights; their zero points are 0, and their channels lie on the first axis."""
    from coreai._compiler.dialects import coreai

    stored, scales = (values[argument.name] for argument in node.args[:2])
    shape = [stored.type.shape[0], *[1] * (len(stored.type.shape) - 1)]
    zeros = (coreai.constant(np.zeros(shape, kind), loc=loc) for kind in (np.int8, np.float32))
    return coreai.blockwise_shift_scale(stored, coreai.reshape(scales, shape), *zeros, loc=loc)


def _with_stable_names(program: Any) -> Any:
    """The same program, with constants that are named by their order.

    Core AI (1.0.0b3) names a constant by a hash that is another in each process, and gives no way
    to name it, so two exports of one network would differ. This can go when it does.
    """
    from coreai._compiler.ir import Module
    from coreai.authoring import AIProgram

    module = program._module._mlir_module
    text = module.operation.get_asm(large_elements_limit=None)
    names = {old: f"weight_{i}" for i, old in enumerate(dict.fromkeys(NAME.findall(text)))}
    text = NAME.sub(lambda found: names[found[0]], text)
    return AIProgram._from_mlir_module(Module.parse(text, context=module.context))


def _save(program: Any, path: Path, source: Source) -> None:
    """Write a folder whose bytes are the same for each export of the same network."""
    program.save_asset(path, _describe(source.contract, source.metadata))
    file = path / METADATA
    metadata = read_json(file)
    del metadata["creationDate"]
    # Core AI writes the entries in random order.
    file.write_text(json.dumps(metadata, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _describe(contract: Contract, metadata: Metadata) -> Any:
    from coreai.runtime import AIModelAssetMetadata

    record = AIModelAssetMetadata()
    record.model_description = metadata.description
    record.author, record.license = metadata.author, metadata.license
    record.set_custom("version", metadata.version)
    record.set_custom(LABELS, list(contract.labels))
    record.set_custom(KEY, contract.to_json())
    return record


def read_contract(path: Path) -> tuple[str, Sequence[str]]:
    """The contract's JSON text and the labels from the metadata; the program is not read."""
    text = (path / METADATA).read_text(encoding="utf-8")
    custom = json.loads(text)["creatorDefinedMetadata"]
    return custom[KEY], custom[LABELS]


def load(path: Path, threads: int) -> Runner:
    """Open with Apple's runtime, which chooses the number of threads itself.

    Raises:
        LesionliteError: the program has other bytes than its checksum says.
    """
    run, runtime = open_program(path)

    def classify(image: Pixels) -> Any:
        return run(image[None])["probabilities"].numpy()[0]

    return Runner(classify, runtime, FORMATS["coreai"].is_native_here)


def open_program(path: Path) -> tuple[Callable[[NDArray[Any]], dict[str, Any]], str]:
    """A function that runs a program with one input, and the runtime's name and version.

    Args:
        path: an `.aimodel` folder; it need not be one of ours.

    Raises:
        LesionliteError: the program has other bytes than its checksum says.
    """
    from importlib.metadata import version

    _refuse_damaged(path)
    with quiet():
        from coreai import runtime
        from coreai.authoring import AIModelAsset

        function = _wait(_open(AIModelAsset.load(path)))
    (given,) = function.desc.input_names

    def run(x: NDArray[Any]) -> dict[str, Any]:
        return _wait(function({given: runtime.NDArray(np.ascontiguousarray(x))}))

    here = "" if FORMATS["coreai"].is_native_here else " for Linux"
    return run, f"Apple's coreai-core {version('coreai-core')}{here}"


def _refuse_damaged(path: Path) -> None:
    """Compare the program with the checksum beside it, because Apple's runtime does not."""
    program = (path / "main.mlirb").read_bytes()
    if sha256(program).digest() != (path / "main.hash").read_bytes():
        raise LesionliteError(
            f"{path} is damaged: main.mlirb has another SHA-256 than main.hash says; export again"
        )


async def _open(asset: Any) -> Any:
    async with asset.executable() as model:
        return model.load_function("main")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """An event loop in a thread of its own, because the caller may be inside one (Jupyter is)."""
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="coreai", daemon=True).start()
    return loop


def _wait(work: "Coroutine[Any, Any, T]") -> T:
    return asyncio.run_coroutine_threadsafe(work, _loop()).result()
