"""Refuse networks that compute NaN or infinity, and find the first layer that does."""

from typing import TYPE_CHECKING, Any

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError

if TYPE_CHECKING:
    from torch import Tensor, nn


def first_infinite_layer(network: "nn.Module", pixels: "Tensor", contract: Contract) -> str:
    """The name of the first layer in the order of execution that gives NaN or infinity.

    Args:
        network: timm's network, float32; it is not changed.
        pixels: uint8 [N, 3, S, S].
        contract: has the normalization.

    Returns:
        The name; "" if all numbers are finite.
    """
    import torch

    from lesionlite.export.quantize.wiring import watching
    from lesionlite.train.model import predict_logits

    found: list[str] = []

    def note(name: str) -> Any:
        def hook(module: "nn.Module", given: Any, made: Any) -> None:
            if isinstance(made, torch.Tensor) and not made.isfinite().all():
                found.append(name)

        return hook

    names = [name for name, module in network.named_modules() if not any(module.children())]
    with torch.inference_mode(), watching(network, {name: note(name) for name in names}):
        logits = predict_logits(network, pixels, contract)
    return next(iter(found), "" if logits.isfinite().all() else "head")


def refuse_infinite(
    network: "nn.Module", pixels: "Tensor", contract: Contract, run: object
) -> None:
    """Refuse a network that gives NaN or infinity for uint8 [N, 3, S, S] images.

    Raises:
        LesionliteError: names the run and the layer.
    """
    layer = first_infinite_layer(network, pixels, contract)
    if layer:
        raise LesionliteError(
            f"{run}: layer {layer} gives numbers that are not finite (NaN or infinity), so no file "
            "made from it can be right; train again"
        )
