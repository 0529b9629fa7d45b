"""Build, save and load the network. The only module of train/ that knows timm."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from lesionlite.console import track
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.files import replacing, write_json, write_text
from lesionlite.layout import CONTRACT, SETTINGS, WEIGHTS, read_settings
from lesionlite.train import cvnets
from lesionlite.train.data.images import Pixels
from lesionlite.train.states import load_state, read_state

GROUP = ("weight_decay", "lr_scale")  # what a group of parameters has in common
_declared: list[torch.library.Library] = []


def declare_torchvision_operators() -> None:
    """Let torchvision be imported where its compiled operators cannot be loaded.

    torchvision's wheel for CUDA does not load beside a CPU-only torch; its import then fails with
    "operator torchvision::nms does not exist", because it registers shape functions for operators
    that only the compiled part declares. Nothing here calls them, so declaring them is enough.
    Can go when torchvision's `_meta_registrations` checks for them first (0.28.0 does not).
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]  # the half-imported package
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, operator):
                library.define(
                    operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                )
        _declared.append(library)  # the operators vanish with the object that declared them


def build_network(name: str, classes: int, drop_path: float = 0.0) -> nn.Module:
    """Timm's MobileViTv2 called `name` with `classes` outputs, random weights.

    Args:
        name: as timm has it.
        classes: outputs.
        drop_path: probability of skipping the last block's residual branch in training.

    Raises:
        LesionliteError: if timm has no MobileViTv2 of that name; the error lists them.
    """
    declare_torchvision_operators()
    import timm

    names = timm.list_models("mobilevitv2_*")
    if name not in names:
        raise unknown_choice("model", name, names)
    network: nn.Module = timm.create_model(
        name, pretrained=False, num_classes=classes, drop_path_rate=drop_path
    )
    return network


def parameter_groups(
    network: nn.Module, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Parameters for an optimizer: norms and biases without decay, early layers at lower rates.

    Each group's `lr_scale` is the factor of its learning rate (BEiT, Bao et al. 2022, appendix).
    """
    from timm.optim import param_groups_layer_decay

    alike: dict[tuple[float, float], dict[str, Any]] = {}
    for group in param_groups_layer_decay(network, weight_decay, layer_decay=layer_decay):
        key = group["weight_decay"], group["lr_scale"]
        kept = alike.setdefault(key, {**dict(zip(GROUP, key, strict=True)), "params": []})
        kept["params"] += group["params"]
    return list(alike.values())


def moving_average(network: nn.Module, decay: float) -> Any:
    """Timm's exponential moving average of the weights: `.update(network, step)`, `.module`.

    It starts with a lower decay, which rises to `decay`, so that it forgets the first steps.
    """
    from timm.utils import ModelEmaV3

    return ModelEmaV3(network, decay=decay, use_warmup=True)


def start_weights(
    network: nn.Module, name: str, weights: str, keep_head: bool, average: bool = True
) -> str:
    """Put starting weights into `network`.

    Args:
        network: what `build_network` made.
        name: its timm name.
        weights: `none`, `timm` (downloads), or the path of a state dict, timm's or ml-cvnets'.
        keep_head: the weights' classifier must fit too (nothing will be trained).
        average: whether a file's moving average of the weights is preferred.

    Returns:
        A sentence that says what was loaded.

    Raises:
        LesionliteError: no such file, weights of another network, or no way to download.
    """
    if weights == "none":
        return "random weights"
    if weights == "timm":
        load_state(network, _download(name), "the downloaded weights", keep_head=False)
        return f"timm's ImageNet weights of {name}"
    found = read_state(Path(weights), average)
    state, apples = found.tensors, ""
    if cvnets.is_cvnets(state):
        state, apples = cvnets.as_timm(state), ", an ml-cvnets checkpoint"
    replaced = load_state(network, state, weights, keep_head)
    new = " (its classifier is of other classes: new)" * replaced
    taken = f" ({found.said})" if found.said else ""
    return f"weights of {weights}{taken}{apples}{new}"


def _download(name: str) -> Mapping[str, Tensor]:
    import timm

    try:
        return timm.create_model(name, pretrained=True).state_dict()  # type: ignore[no-any-return]
    except Exception as error:  # hub, network and cache errors share no base class
        repository = timm.get_pretrained_cfg(name).hf_hub_id
        raise LesionliteError(
            f"could not download the ImageNet weights of {name} ({type(error).__name__}); offline, "
            f"bring model.safetensors of huggingface.co/{repository} (or Apple's ml-cvnets "
            "checkpoint) and pass --weights FILE, or start from scratch with --weights none"
        ) from error


def save_run(
    folder: Path, network: nn.Module, contract: Contract, settings: dict[str, Any]
) -> None:
    """Write weights, `contract.json` and `train.json` (settings that rebuild the network)."""
    write_text(folder / CONTRACT, contract.to_json())
    write_json(folder / SETTINGS, settings)
    save_weights(folder / WEIGHTS, network)


def save_weights(file: Path, network: nn.Module) -> None:
    """Write the state dict as safetensors, all or nothing."""
    with replacing(file) as temporary:
        state = {key: value.contiguous() for key, value in network.state_dict().items()}
        save_file(state, temporary)


def load_run(folder: Path) -> tuple[nn.Module, Contract]:
    """The network of a run in float32, evaluation mode, and its contract.

    Raises:
        LesionliteError: if the folder is no run, or weights and contract do not fit each other.
    """
    settings = read_settings(folder)
    if not settings:
        raise LesionliteError(f"{folder} is no run: it has no {SETTINGS}")
    contract = Contract.read(folder / CONTRACT)
    state = read_state(folder / WEIGHTS).tensors
    classes = len(state["head.fc.bias"]) if "head.fc.bias" in state else len(contract.labels)
    if classes != len(contract.labels):
        raise LesionliteError(
            f"contract and checkpoint in {folder} do not match: {CONTRACT} has "
            f"{len(contract.labels)} labels, {WEIGHTS} has {classes} outputs"
        )
    network = build_network(settings["model"], classes)
    load_state(network, state, str(folder / WEIGHTS), keep_head=True)
    return network.eval().requires_grad_(False), contract


def predict_logits(
    network: nn.Module,
    pixels: Tensor,
    contract: Contract,
    layout: torch.memory_format = torch.channels_last,
) -> Tensor:
    """Logits [B, C] of uint8 pixels [B, 3, S, S], normalized as the contract says."""
    x = pixels.float() / 255
    if any(contract.mean):
        x = x - x.new_tensor(contract.mean)[:, None, None]
    if contract.std != (1.0, 1.0, 1.0):
        x = x / x.new_tensor(contract.std)[:, None, None]
    logits: Tensor = network(x.contiguous(memory_format=layout))
    return logits


def first_infinite_layer(network: nn.Module, pixels: Tensor, contract: Contract) -> str:
    """The first layer, in the order in which they compute, whose output is not finite.

    Args:
        network: in evaluation mode.
        pixels: uint8 [N, 3, S, S], where the network is.
        contract: says how they are normalized.

    Returns:
        Its name and kind, such as "stages.2.1.conv_1x1 (Conv2d)"; "" if all outputs are finite.
    """
    found: list[str] = []

    def look(name: str, module: nn.Module, output: Any) -> None:
        if not found and isinstance(output, Tensor) and not _is_finite(output):
            found.append(f"{name or 'the network'} ({type(module).__name__})")

    hooks = [
        module.register_forward_hook(lambda m, _, out, name=name: look(name, m, out))
        for name, module in network.named_modules()
    ]
    try:
        logits = predict_logits(network, pixels, contract)
    finally:
        for hook in hooks:
            hook.remove()
    if not found and not _is_finite(logits / contract.temperature):
        return f"the division by the temperature {contract.temperature}"
    return "".join(found)


def refuse_infinite_answers(network: nn.Module, pixels: Tensor, contract: Contract) -> None:
    """Raise LesionliteError if a network's answers are not finite; see `first_infinite_layer`."""
    with torch.inference_mode():
        layer = first_infinite_layer(network, pixels, contract)
    if layer:
        raise LesionliteError(
            f"the network's answers are not finite: the first output that is NaN or infinite is "
            f"that of {layer}; train anew with a smaller --lr, or take other weights"
        )


def _is_finite(values: Tensor) -> bool:
    return bool(torch.isfinite(values).all())


def all_logits(
    network: nn.Module,
    pixels: Pixels,
    contract: Contract,
    device: torch.device | None = None,
    bf16: bool = False,
    description: str = "",
) -> NDArray[np.float32]:
    """Logits [N, C] of uint8 images [N, S, S, 3]; the network is left in evaluation mode.

    Raises:
        LesionliteError: naming the layer, if a logit is not finite.
    """
    network.eval()
    device = device or torch.device("cpu")
    starts: Any = range(0, len(pixels), 32)
    if description:
        starts = track(starts, description, len(starts))
    out = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for start in starts:
            batch = torch.from_numpy(pixels[start : start + 32]).to(device).permute(0, 3, 1, 2)
            logits = predict_logits(network, batch, contract).float()
            if not _is_finite(logits / contract.temperature):
                refuse_infinite_answers(network, batch, contract)
            out.append(logits.cpu().numpy())
    return np.concatenate(out)
