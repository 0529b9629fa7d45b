"""Save and load the network, and compute its answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from lesionlite.console import track
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.files import replacing, write_json, write_text
from lesionlite.layout import CONTRACT, SETTINGS, WEIGHTS, read_settings
from lesionlite.train import cvnets
from lesionlite.train.data.images import Pixels
from lesionlite.train.networks import build_network, classifiers, import_timm
from lesionlite.train.states import load_state, read_state

Logits = TypeVar("Logits", Tensor, NDArray[np.float32])
GROUP = ("weight_decay", "lr_scale")  # equal for all parameters of a group


def parameter_groups(
    network: nn.Module, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Group parameters for an optimizer: no decay for norms and biases, lower rates early on.

    Args:
        network: whose parameters are grouped.
        weight_decay: of all other parameters.
        layer_decay: factor of the learning rate from each layer to the one before it (BEiT, Bao et
            al. 2022, appendix).

    Returns:
        Groups with `params`, `weight_decay` and `lr_scale`, the factor of the learning rate.
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

    The decay starts low and rises to `decay`, so that the average forgets the first steps.
    """
    from timm.utils import ModelEmaV3

    return ModelEmaV3(network, decay=decay, use_warmup=True)


def start_weights(
    network: nn.Module, name: str, weights: str, keep_head: bool, average: bool = True
) -> str:
    """Load starting weights into `network`.

    Args:
        network: made by `build_network`.
        name: its name in timm.
        weights: `none`, `timm` (downloads), or the path of a state dict of timm or ml-cvnets.
        keep_head: whether the classifier must fit, too (if nothing will be trained).
        average: whether to prefer a file's moving average of the weights.

    Returns:
        A sentence that says what was loaded.

    Raises:
        LesionliteError: if there is no such file, the weights do not fit, or the download fails.
    """
    if weights == "none":
        return "random weights"
    if weights == "timm":
        load_state(network, _download(name), "the downloaded weights", classifiers(network))
        return f"timm's ImageNet weights of {name}"
    found = read_state(Path(weights), average, network.state_dict())
    state, kind = found.tensors, ""
    if cvnets.is_cvnets(state):
        state, kind = cvnets.as_timm(state), ", an ml-cvnets checkpoint"
    heads = () if keep_head else classifiers(network)
    replaced = load_state(network, state, weights, heads)
    new = " (its classifier is of other classes: new)" * replaced
    taken = f" ({found.description})" if found.description else ""
    return f"weights of {weights}{taken}{kind}{new}"


def _download(name: str) -> Mapping[str, Tensor]:
    timm = import_timm()
    try:
        return timm.create_model(name, pretrained=True).state_dict()  # type: ignore[no-any-return]
    except Exception as error:  # errors of hub, network and cache have no common base class
        repository = timm.get_pretrained_cfg(name).hf_hub_id
        raise LesionliteError(
            f"could not download the ImageNet weights of {name} ({type(error).__name__}); offline, "
            f"bring model.safetensors of huggingface.co/{repository} (or Apple's ml-cvnets "
            "checkpoint) and pass --weights FILE, or start from scratch with --weights none"
        ) from error


def save_run(
    folder: Path, network: nn.Module, contract: Contract, settings: dict[str, Any]
) -> None:
    """Write weights, `contract.json`, and `train.json` with the settings to rebuild the network."""
    write_text(folder / CONTRACT, contract.to_json())
    write_json(folder / SETTINGS, settings)
    save_weights(folder / WEIGHTS, network)


def save_weights(file: Path, network: nn.Module) -> None:
    """Write the state dict as safetensors, atomically."""
    with replacing(file) as temporary:
        state = {key: value.contiguous() for key, value in network.state_dict().items()}
        save_file(state, temporary)


def load_run(folder: Path) -> tuple[nn.Module, Contract]:
    """Load a run: its network in float32 and evaluation mode, without gradients, and its contract.

    Raises:
        LesionliteError: if the folder is no run, or weights and contract do not match.
    """
    settings = read_settings(folder)
    if not settings:
        raise LesionliteError(f"{folder} is no run: it has no {SETTINGS}")
    contract = Contract.read(folder / CONTRACT)
    network = build_network(settings["model"], len(contract.labels), side=contract.side)
    state = read_state(folder / WEIGHTS, names=network.state_dict()).tensors
    heads = [state[key] for key in classifiers(network) if key in state]
    classes = len(heads[0]) if heads else len(contract.labels)
    if classes != len(contract.labels):
        raise LesionliteError(
            f"contract and checkpoint in {folder} do not match: {CONTRACT} has "
            f"{len(contract.labels)} labels, {WEIGHTS} has {classes} outputs"
        )
    load_state(network, state, str(folder / WEIGHTS))
    return network.eval().requires_grad_(False), contract


def predict_logits(
    network: nn.Module,
    pixels: Tensor,
    contract: Contract,
    layout: torch.memory_format = torch.channels_last,
) -> Tensor:
    """Normalize uint8 pixels [B, 3, S, S] as the contract says, and compute logits [B, C]."""
    x = normalized(pixels, contract)
    logits: Tensor = network(x.contiguous(memory_format=layout))
    return logits


def normalized(pixels: Tensor, contract: Contract) -> Tensor:
    """Pixels, uint8 [B, 3, S, S], as timm's network takes them, float32."""
    x = pixels.float() / 255
    if any(contract.mean):
        x = x - x.new_tensor(contract.mean)[:, None, None]
    if contract.std != (1.0, 1.0, 1.0):
        x = x / x.new_tensor(contract.std)[:, None, None]
    return x


def calibrated(logits: Logits, contract: Contract) -> Logits:
    """Logits [B, C] as the softmax of every artifact takes them: scaled and adjusted.

    They are divided by the contract's temperature, and its logit adjustment is added.
    """
    adjustment = contract.logit_adjustment or (0.0,) * len(contract.labels)
    if isinstance(logits, Tensor):
        return logits / contract.temperature + logits.new_tensor(adjustment)
    return logits / contract.temperature + np.asarray(adjustment, logits.dtype)


def first_infinite_layer(network: nn.Module, pixels: Tensor, contract: Contract) -> str:
    """The first layer, in order of execution, whose output is not finite.

    Args:
        network: in evaluation mode.
        pixels: uint8 [N, 3, S, S], on the network's device.
        contract: says how pixels are normalized.

    Returns:
        The layer's name and class, such as "stages.2.1.conv_1x1 (Conv2d)"; "" if all are finite.
    """
    found: list[str] = []

    def check(name: str, module: nn.Module, output: Any) -> None:
        if not found and isinstance(output, Tensor) and not _is_finite(output):
            found.append(f"{name or 'the network'} ({type(module).__name__})")

    hooks = [
        module.register_forward_hook(lambda m, _, out, name=name: check(name, m, out))
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
    """Raise LesionliteError if a network's outputs are not finite; see `first_infinite_layer`."""
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
    """Compute the logits of many images; the network is left in evaluation mode.

    Args:
        network: to run.
        pixels: uint8 [N, S, S, 3].
        contract: says how pixels are normalized.
        device: where the network is; by default the CPU.
        bf16: whether to compute in bfloat16.
        description: of the progress bar; "" shows none.

    Returns:
        float32 [N, C].

    Raises:
        LesionliteError: if a logit is not finite; it names the layer.
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
