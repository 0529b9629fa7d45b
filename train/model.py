"""Build, save and load the network. The only module of train/ that knows timm."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from train import cvnets
from train.console import track
from train.contract import Contract
from train.documents import read_json
from train.errors import LesionliteError, unknown_choice
from train.files import replacing, write_json, write_text
from train.images import Pixels
from train.layout import CONTRACT, SETTINGS, WEIGHTS

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


def start_weights(network: nn.Module, name: str, weights: str, keep_head: bool) -> str:
    """Put starting weights into `network`.

    Args:
        network: what `build_network` made.
        name: its timm name.
        weights: `none`, `timm` (downloads), or the path of a state dict, timm's or ml-cvnets'.
        keep_head: the weights' classifier must fit too (nothing will be trained).

    Returns:
        A sentence that says what was loaded.

    Raises:
        LesionliteError: no such file, weights of another network, or no way to download.
    """
    if weights == "none":
        return "random weights"
    if weights == "timm":
        _load_state(network, _download(name), "the downloaded weights", keep_head=False)
        return f"timm's ImageNet weights of {name}"
    state, apples = read_state(Path(weights)), ""
    if cvnets.is_cvnets(state):
        state, apples = cvnets.as_timm(state), ", an ml-cvnets checkpoint"
    replaced = _load_state(network, state, weights, keep_head)
    new = " (its classifier is of other classes: new)" * replaced
    return f"weights of {weights}{apples}{new}"


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


def read_state(file: Path) -> dict[str, Tensor]:
    """Read a state dict: safetensors, or torch's format with nothing but tensors in it.

    Raises:
        LesionliteError: if there is no such file or it holds no state dict.
    """
    if not file.is_file():
        raise LesionliteError(f"there is no weights file {file} (or say --weights timm or none)")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise LesionliteError(f"{file} is damaged or no weights file ({error})") from error
    except Exception as error:  # UnpicklingError: something other than tensors is in it
        raise LesionliteError(f"{file} holds more than tensors, which is not loaded") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else None
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise LesionliteError(f"{file} holds no state dict")
    return dict(state)


def _load_state(
    network: nn.Module, state: Mapping[str, Tensor], source: str, keep_head: bool
) -> bool:
    """Load `state`; True if its classifier was left out because it has other classes."""
    mine = network.state_dict()
    state = dict(state)
    replaced = False
    for key in ("head.fc.weight", "head.fc.bias"):
        if key in state and state[key].shape != mine[key].shape and not keep_head:
            del state[key]
            replaced = True
    wrong = [
        f"{key} is {list(state[key].shape)}, not {list(mine[key].shape)}"
        for key in mine
        if key in state and state[key].shape != mine[key].shape
    ]
    missing = [key for key in mine if key not in state and not (replaced and "head.fc" in key)]
    unknown = [key for key in state if key not in mine]
    problems = wrong + [f"no {key}" for key in missing] + [f"unknown {key}" for key in unknown]
    if problems:
        more = f" and {len(problems) - 2} more differences" if len(problems) > 2 else ""
        raise LesionliteError(
            f"{source} does not fit the network: {'; '.join(problems[:2])}{more}; "
            "check --model and the number of classes"
        )
    network.load_state_dict(state, strict=False)
    return replaced


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
    settings = read_json(folder / SETTINGS)
    if not isinstance(settings, dict) or "model" not in settings:
        raise LesionliteError(f"{folder} is no run: it has no readable {SETTINGS}")
    contract = Contract.read(folder / CONTRACT)
    state = read_state(folder / WEIGHTS)
    classes = len(state["head.fc.bias"]) if "head.fc.bias" in state else len(contract.labels)
    if classes != len(contract.labels):
        raise LesionliteError(
            f"contract and checkpoint in {folder} do not match: {CONTRACT} has "
            f"{len(contract.labels)} labels, {WEIGHTS} has {classes} outputs"
        )
    network = build_network(settings["model"], classes)
    _load_state(network, state, str(folder / WEIGHTS), keep_head=True)
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


def all_logits(
    network: nn.Module,
    pixels: Pixels,
    contract: Contract,
    device: torch.device | None = None,
    bf16: bool = False,
    description: str = "",
) -> NDArray[np.float32]:
    """Logits [N, C] of uint8 images [N, S, S, 3]; the network is left in evaluation mode."""
    network.eval()
    device = device or torch.device("cpu")
    starts: Any = range(0, len(pixels), 32)
    if description:
        starts = track(starts, description, len(starts))
    out = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for start in starts:
            batch = torch.from_numpy(pixels[start : start + 32]).to(device).permute(0, 3, 1, 2)
            out.append(predict_logits(network, batch, contract).float().cpu().numpy())
    return np.concatenate(out)
