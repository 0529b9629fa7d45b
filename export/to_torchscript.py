"""TorchScript for the lite interpreter of PyTorch Mobile; desktops open the same file."""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.affine import Affine
from export.formats import Runner
from export.metadata import Metadata
from export.plan import Plan
from export.quiet import quiet
from train.contract import Contract
from train.data import Pixels

if TYPE_CHECKING:
    from torch import nn

ENTRY, ABOUT = "contract.json", "metadata.json"


def convert(
    network: "nn.Module",
    contract: Contract,
    plan: Plan | None,
    paths: dict[str, Path],
    metadata: Metadata,
) -> None:
    """Write `.ptl` files; see `Toolchain.convert`."""
    import torch

    from export.attention import NHWC
    from export.mobile_form import MobileForm

    image = torch.zeros(1, contract.side, contract.side, 3, dtype=torch.uint8)
    with quiet(), torch.no_grad():  # PyTorch calls TorchScript and FX deprecated on every use
        for precision, path in paths.items():
            model: nn.Module = MobileForm(network, contract, NHWC)
            if precision == "w8a8":
                assert plan is not None
                model = _to_w8a8(model, plan, image)
            script = torch.jit.trace(model, image)
            if precision == "fp32":  # freezing would write 8-bit weights twice
                script = torch.jit.freeze(script)
            script = _forget_origin(script)
            extra = {ENTRY: contract.to_json(), ABOUT: json.dumps(metadata.given(), indent=2)}
            # By way of a buffer: a file's own name would be written into it.
            path.write_bytes(script._save_to_buffer_for_lite_interpreter(_extra_files=extra))


def _forget_origin(script: Any) -> Any:
    """The same frozen module without the machine's paths and the counters of this process.

    A trace remembers the Python stack (`.debug_pkl`), and a class name carries a number that
    every trace in the process raises: here numbers start at 0.
    """
    import torch

    numbers: dict[bytes, bytes] = {}

    def renumber(data: bytes) -> bytes:
        def number(match: re.Match[bytes]) -> bytes:
            return numbers.setdefault(match[0], b"___torch_mangle_%d" % len(numbers))

        return re.sub(rb"___torch_mangle_\d+", number, data)

    given, kept = io.BytesIO(), io.BytesIO()
    torch.jit.save(script, given)
    with zipfile.ZipFile(given) as source, zipfile.ZipFile(kept, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith((".py", "/data.pkl")):  # class names are lines of text in both
                data = renumber(data)
            if not name.endswith(".debug_pkl"):
                target.writestr(renumber(name.encode()).decode(), data)
    kept.seek(0)
    return torch.jit.load(kept)


def _to_w8a8(form: "nn.Module", plan: Plan, image: Any) -> "nn.Module":
    """PyTorch's own 8-bit convolutions in the plan's places; SiLUs stay float, they are no faster.

    FX would do the same, but chooses grids itself.
    """
    from export.quantized_form import swap
    from export.wiring import trace

    wiring = trace(form, image)
    for name in plan.layers:
        wire, shift = wiring.layers[name], plan.corrections[name]
        grids = plan.grids[wire.input], plan.grids[wire.output]
        swap(form, name, _quantized_layer(form.get_submodule(name), shift, *grids))
    return form


def _quantized_layer(
    layer: Any, shift: tuple[float, ...], source: Affine, result: Affine
) -> "nn.Module":
    import torch
    from torch import Tensor, nn
    from torch.ao.nn import quantized

    from export.affine import weight_scales

    scales = weight_scales(layer.weight).double()
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    weight = torch.quantize_per_channel(layer.weight, scales, zeros, 0, torch.qint8)
    bias = torch.tensor(shift) + (0 if layer.bias is None else layer.bias)
    inner: Any
    if isinstance(layer, nn.Conv2d):
        inner = quantized.Conv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            groups=layer.groups,
        )
    else:
        inner = quantized.Linear(layer.in_features, layer.out_features)
    inner.set_weight_bias(weight, bias)
    inner.scale, inner.zero_point = result.scale, result.zero_point

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            stored = torch.quantize_per_tensor(x, source.scale, source.zero_point, torch.quint8)
            made: Tensor = self.inner(stored).dequantize()
            return made

    return Layer()


def read_contract(path: Path) -> str:
    """The contract's JSON text out of the extra files."""
    # The container is a ZIP whose one top folder has the archive's name.
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith(f"/extra/{ENTRY}"))
        return archive.read(name).decode()


def load(path: Path, threads: int) -> Runner:
    """Open with the lite interpreter, as a phone does."""
    import torch

    # Decides how 8-bit weights are laid out. Phones have qnnpack, which runs on x86, too. There
    # oneDNN is exact as well and faster, given a processor with VNNI; without it, it adds pairs of
    # products in 16 bits, which saturate, and so do the engines called x86 and fbgemm (0.98 of the
    # answers where these two keep 0.99).
    torch.backends.quantized.engine = "onednn" if torch.cpu._is_vnni_supported() else "qnnpack"
    with quiet():
        from torch.jit.mobile import _load_for_lite_interpreter

        torch.set_num_threads(threads)
        module = _load_for_lite_interpreter(str(path))

    def classify(image: Pixels) -> Any:
        with torch.inference_mode():
            return module(torch.from_numpy(image[None]))[0].numpy()

    return Runner(classify, f"torch {torch.__version__} lite interpreter")
