"""TorchScript for the lite interpreter of PyTorch Mobile; desktops open the same file."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.formats import Runner
from export.quiet import quiet
from train.contract import Contract
from train.data import Pixels

if TYPE_CHECKING:
    from torch import nn

ENTRY = "contract.json"
ENGINE = "qnnpack"  # what phones have; it runs on x86 too, and there it saturates less than "x86"


def convert(
    network: "nn.Module", contract: Contract, calibration: Pixels | None, paths: dict[str, Path]
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
            script = torch.jit.freeze(torch.jit.trace(model, image))
            script._save_for_lite_interpreter(str(path), _extra_files={ENTRY: contract.to_json()})


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
