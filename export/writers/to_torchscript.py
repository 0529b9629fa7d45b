"""TorchScript for PyTorch Mobile's lite interpreter, which desktops have too."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lesionlite.export.format import Runner
from lesionlite.export.quantize.plan import Plan
from lesionlite.export.quantize.quant_params import QuantParams
from lesionlite.export.quiet import quiet
from lesionlite.export.source import Source, example
from lesionlite.train.data.images import Pixels

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

ENTRY, ABOUT = "contract.json", "metadata.json"


def convert(source: Source, paths: dict[str, Path]) -> None:
    """Write `.ptl` files; see `Toolchain.convert`."""
    import torch

    from lesionlite.export.forms.attention import TORCH

    contract, image = source.contract, example(source.contract)
    # PyTorch calls TorchScript and FX deprecated on every use.
    with quiet(), torch.no_grad(), _phones_engine():
        for precision, path in paths.items():
            if precision == "w8a8":
                model = _inplace_channels_last(source.to_quantize(TORCH, source.plan.layers))
                model = _to_w8a8(model, source.plan, image)
            else:
                model = _inplace_channels_last(source.form(TORCH))
            # Twice: the first time in a process, PyTorch gives classes names without numbers.
            script = [torch.jit.trace(model, image) for _ in range(2)][1]
            if precision == "fp32":  # freezing would write 8-bit weights twice
                script = torch.jit.freeze(script)
            script = _renumber_classes(script)
            extra = {
                ENTRY: contract.to_json(),
                ABOUT: json.dumps(source.metadata.given(), indent=2),
            }
            # Not to a file, because the file's name would be written into it.
            written = script._save_to_buffer_for_lite_interpreter(_extra_files=extra)
            path.write_bytes(_strip_stack_traces(written))


@contextmanager
def _phones_engine() -> Iterator[None]:
    """Pack 8-bit weights with the engine that every PyTorch has, and give the former one back.

    A file's bytes depend on the engine, and whoever loads a file chooses another; see `load`.
    """
    import torch

    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = "qnnpack"
    try:
        yield
    finally:
        torch.backends.quantized.engine = before


def _inplace_channels_last(form: "nn.Module") -> "nn.Module":
    """Make activations overwrite their inputs, and store weights with channels last, as images are.

    This saves an allocation for each activation, and transposing the weights for each image.
    """
    import torch
    from torch import nn

    for module in form.modules():
        if isinstance(module, nn.SiLU | nn.ReLU):
            module.inplace = True
    return form.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _renumber_classes(script: Any) -> Any:
    """The same module, with the numbers in its class names counted from 0.

    PyTorch continues to count with each trace in the process, so without this, two exports of one
    network would differ. All classes must have numbers.
    """
    import torch

    numbers: dict[bytes, bytes] = {}

    def renumber(data: bytes) -> bytes:
        def number(match: re.Match[bytes]) -> bytes:
            return numbers.setdefault(match[0], b"___torch_mangle_%d" % len(numbers))

        return re.sub(rb"___torch_mangle_\d+", number, data)

    written = io.BytesIO()
    torch.jit.save(script, written)
    return torch.jit.load(io.BytesIO(_strip_stack_traces(written.getvalue(), renumber)))


def _strip_stack_traces(content: bytes, rename: "Callable[[bytes], bytes]" = bytes) -> bytes:
    """Remove the Python stack traces from an archive, because they hold paths of this machine.

    Args:
        content: the archive that PyTorch wrote.
        rename: changes class names; called with each entry's name, and with the content of code
            and of `data.pkl`.
    """
    kept = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(kept, "w") as target:
        for entry in source.infolist():
            data, name = source.read(entry), entry.filename
            if name.endswith(".debug_pkl"):
                continue
            if name.endswith((".py", "/data.pkl")):
                data = rename(data)
            packed = zipfile.ZipInfo(rename(name.encode()).decode())  # its date is constant
            target.writestr(packed, data, compress_type=entry.compress_type)
    return kept.getvalue()


def _to_w8a8(form: "nn.Module", plan: Plan, image: Any) -> "nn.Module":
    """Replace the plan's layers by PyTorch's 8-bit layers. SiLUs stay float, which is as fast.

    FX's quantization would do the same, but would choose the quantization parameters itself.
    """
    from lesionlite.export.quantize.quantized_form import swap
    from lesionlite.export.quantize.wiring import trace

    wiring = trace(form, image)
    for name in plan.layers:
        node, correction = wiring.layers[name], plan.corrections[name]
        params = plan.grids[node.input], plan.grids[node.output]
        swap(form, name, _quantized_layer(form.get_submodule(name), correction, *params))
    return form


def _quantized_layer(
    layer: Any, correction: tuple[float, ...], source: QuantParams, result: QuantParams
) -> "nn.Module":
    """A module that quantizes its input, computes in 8 bits, and dequantizes its result.

    Args:
        layer: float convolution or linear layer.
        correction: bias correction for each output channel.
        source: quantization parameters of the input.
        result: quantization parameters of the result.
    """
    import torch
    from torch import Tensor, nn

    from lesionlite.export.quantize.quant_params import weight_scales

    scales = weight_scales(layer.weight).double()
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    weight = torch.quantize_per_channel(layer.weight, scales, zeros, 0, torch.qint8)
    bias = torch.tensor(correction) + (0 if layer.bias is None else layer.bias)
    library: Any = torch.ops.quantized
    if isinstance(layer, nn.Conv2d):
        window = [layer.stride, layer.padding, layer.dilation, layer.groups]
        packed, operation = library.conv2d_prepack(weight, bias, *window), library.conv2d
    else:
        packed, operation = library.linear_prepack(weight, bias), library.linear

    class Layer(nn.Module):
        """An 8-bit layer with less code than PyTorch's own, because a file repeats it per layer."""

        def __init__(self) -> None:
            super().__init__()
            self.packed = packed

        def forward(self, x: Tensor) -> Tensor:
            stored = torch.quantize_per_tensor(x, source.scale, source.zero_point, torch.quint8)
            made: Tensor = operation(stored, self.packed, result.scale, result.zero_point)
            return made.dequantize()

    return Layer()


def read_contract(path: Path) -> tuple[str, None]:
    """The contract's JSON text from the extra files."""
    # The file is a ZIP archive with a single top folder, whose name varies.
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith(f"/extra/{ENTRY}"))
        return archive.read(name).decode(), None


def load(path: Path, threads: int) -> Runner:
    """Open with the lite interpreter, as phones do."""
    import torch

    # The engine decides the layout of 8-bit weights when the file is loaded. Phones have qnnpack,
    # which also runs on x86. On x86 with VNNI, onednn is exact and faster. Without VNNI, onednn, as
    # well as the engines x86 and fbgemm, sums pairs of products in 16 bits, which may saturate:
    # measured, 98% of the answers agree with the run's, instead of 99%.
    torch.backends.quantized.engine = "onednn" if torch.cpu._is_vnni_supported() else "qnnpack"
    with quiet():
        from torch.jit.mobile import _load_for_lite_interpreter

        torch.set_num_threads(threads)
        module = _load_for_lite_interpreter(str(path))

    def classify(image: Pixels) -> Any:
        with torch.inference_mode():
            return module(torch.from_numpy(image[None]))[0].numpy()

    return Runner(classify, f"torch {torch.__version__} lite interpreter")
