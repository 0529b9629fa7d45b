"""TorchScript for the lite interpreter of PyTorch Mobile; desktops open the same file."""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.formats import Runner
from export.metadata import Metadata
from export.quiet import quiet
from train.contract import Contract
from train.data import Pixels

if TYPE_CHECKING:
    from torch import nn

ENTRY, ABOUT = "contract.json", "metadata.json"
ENGINE = "qnnpack"  # what phones have; it runs on x86 too, and there it saturates less than "x86"


def convert(
    network: "nn.Module",
    contract: Contract,
    calibration: Pixels | None,
    paths: dict[str, Path],
    metadata: Metadata,
) -> None:
    """Write `.ptl` files; see `Toolchain.convert`."""
    import torch

    from export.mobile_form import MobileForm

    image = torch.zeros(1, contract.side, contract.side, 3, dtype=torch.uint8)
    torch.backends.quantized.engine = ENGINE
    with quiet(), torch.no_grad():  # PyTorch calls TorchScript and FX deprecated on every use
        for precision, path in paths.items():
            model: nn.Module = MobileForm(network, contract)
            if precision == "w8a8":
                assert calibration is not None
                model = _to_w8a8(model, calibration)
            script = _forget_origin(torch.jit.freeze(torch.jit.trace(model, image)))
            extra = {ENTRY: contract.to_json(), ABOUT: json.dumps(metadata.given(), indent=2)}
            # By way of a buffer: a file's own name would be written into it.
            path.write_bytes(script._save_to_buffer_for_lite_interpreter(_extra_files=extra))


def _to_w8a8(model: "nn.Module", calibration: Pixels) -> "nn.Module":
    import torch
    from torch import nn
    from torch.ao.quantization import MinMaxObserver, QConfig, QConfigMapping
    from torch.ao.quantization.observer import default_per_channel_weight_observer
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    # Full 8-bit activations: QNNPACK holds them, where the x86 engine saturates without VNNI. The
    # default histogram observers take minutes on 82 convolutions.
    recipe = QConfig(
        activation=MinMaxObserver.with_args(reduce_range=False),
        weight=default_per_channel_weight_observer,
    )
    mapping = QConfigMapping().set_global(None)
    for kind in (nn.Conv2d, nn.Linear):
        # Only these: quantized residual adds and norms lose the answer.
        mapping = mapping.set_object_type(kind, recipe)
    images = torch.from_numpy(calibration)
    prepared = prepare_fx(model, mapping, (images[:1],))
    for batch in images.split(16):
        prepared(batch)
    quantized: nn.Module = convert_fx(prepared)
    return quantized


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


def read_contract(path: Path) -> str:
    """The contract's JSON text out of the extra files."""
    # The container is a ZIP whose one top folder has the archive's name.
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith(f"/extra/{ENTRY}"))
        return archive.read(name).decode()


def load(path: Path, threads: int) -> Runner:
    """Open with the lite interpreter, as a phone does."""
    import torch

    torch.backends.quantized.engine = ENGINE  # decides how quantized weights are laid out
    with quiet():
        from torch.jit.mobile import _load_for_lite_interpreter

        torch.set_num_threads(threads)
        module = _load_for_lite_interpreter(str(path))

    def classify(image: Pixels) -> Any:
        with torch.inference_mode():
            return module(torch.from_numpy(image[None]))[0].numpy()

    return Runner(classify, f"torch {torch.__version__} lite interpreter")
