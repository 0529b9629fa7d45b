"""Networks of timm: build one, and know which images it expects."""

import sys
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from lesionlite.errors import LesionliteError, first_line

_declared: list[torch.library.Library] = []


def declare_torchvision_operators() -> None:
    """Make torchvision importable where its compiled operators cannot be loaded.

    With a CPU-only torch, torchvision's CUDA wheel cannot load its compiled part. Its import then
    fails with "operator torchvision::nms does not exist", because it registers shape functions for
    operators that only the compiled part declares. lesionlite calls none of them, so it is enough
    to declare them. Can be removed when torchvision's `_meta_registrations` checks that they exist
    (0.28.0 does not).
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


def import_timm() -> Any:
    """The module timm, which needs torchvision."""
    declare_torchvision_operators()
    import timm

    return timm


@dataclass(frozen=True)
class Expected:
    """The images that a network's published weights were made with, by timm's `pretrained_cfg`.

    Attributes:
        side: of the square input, in pixels.
        mean: of each channel, of values from 0 to 1.
        std: of each channel, likewise.
        interpolation: how images are resized.
    """

    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str


def expected(name: str) -> Expected:
    """The images that a network of timm expects.

    Raises:
        LesionliteError: timm has no network of that name.
    """
    config = _known(name).get_pretrained_cfg(name)
    return Expected(config.input_size[-1], config.mean, config.std, config.interpolation)


def build_network(
    name: str, classes: int, drop_path: float = 0.0, side: int | None = None
) -> nn.Module:
    """Build one of timm's networks with random weights.

    Args:
        name: its name in timm.
        classes: number of outputs.
        drop_path: probability of skipping the last block's residual branch in training.
        side: of its input in pixels; None means the network's own.

    Raises:
        LesionliteError: timm has no network of that name, it has no such branches, or it cannot
            classify images of that side.
    """
    timm = _known(name)
    settings: dict[str, Any] = {"pretrained": False, "num_classes": classes}
    if drop_path:
        settings["drop_path_rate"] = drop_path
    try:
        # Some networks are built for one size; most take any, and refuse the argument.
        network = _created(timm, name, settings | ({"img_size": side} if side else {}))
    except TypeError as error:
        if not drop_path or "drop_path" not in str(error):
            raise
        raise LesionliteError(f"{name} has no branches to skip; leave out --drop-path") from error
    _refuse_unfit(network, name, classes, side or expected(name).side)
    return network


def _created(timm: Any, name: str, settings: dict[str, Any]) -> nn.Module:
    try:
        network: nn.Module = timm.create_model(name, **settings)
    except TypeError as error:
        if "img_size" not in str(error) or "img_size" not in settings:
            raise
        del settings["img_size"]
        network = timm.create_model(name, **settings)
    return network


def _known(name: str) -> Any:
    """The module timm, if it has a network of that name."""
    timm = import_timm()
    if timm.is_model(name):
        return timm
    close = get_close_matches(name, timm.list_models(), n=5)
    hint = f" (did you mean {' or '.join(close)}?)" if close else ""
    raise LesionliteError(f"timm has no model {name!r}{hint}; timm.list_models() lists all")


def _refuse_unfit(network: nn.Module, name: str, classes: int, side: int) -> None:
    """Refuse a network that does not give logits [B, C] for images of this side."""
    training = network.training
    try:
        with torch.no_grad():
            found = network.eval()(torch.zeros(1, 3, side, side))
        problem = "" if isinstance(found, torch.Tensor) else f"it gives a {type(found).__name__}"
        if not problem and found.shape != (1, classes):
            problem = f"it gives numbers of the shape {list(found.shape)}"
    except Exception as error:  # of the network's own code
        problem = first_line(error)
    network.train(training)
    if problem:
        raise LesionliteError(
            f"{name} cannot classify RGB images of {side} x {side} pixels ({problem}); give the "
            f"--side that it is made for ({expected(name).side}), or another --model"
        )


def classifiers(network: Any) -> tuple[str, ...]:
    """The names of the parameters of a network's last layer, or layers."""
    found = network.get_classifier()
    heads = [found] if isinstance(found, nn.Module) else list(found)
    layers = {id(layer) for head in heads for layer in head.modules()}
    return tuple(
        f"{path}.{key}" if path else key
        for path, layer in network.named_modules()
        if id(layer) in layers
        for key, _ in layer.named_parameters(recurse=False)
    )
