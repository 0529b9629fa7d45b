"""A network with random weights, whose answers show the faults of a file."""

from typing import TYPE_CHECKING, Any

import numpy as np

from lesionlite.contract import Contract
from lesionlite.export.metadata import Metadata
from lesionlite.export.source import Source
from lesionlite.train.config import TrainConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lesionlite.train.data.images import Pixels

CLASSES, IMAGES = 14, 16
LEAST_VARIANCE = 0.1  # that a norm divides by; see `_fit_norms`


def untrained(
    model: str, side: int = 0, least_variance: float = LEAST_VARIANCE
) -> "tuple[Source, Pixels, NDArray[np.float32]]":
    """A network with random weights, drawn images, and PyTorch's answers to them.

    The norms are fitted to the images and the temperature to the logits. Without this, all images
    would have nearly the same answer, and many faults of a file would not show; or values would
    grow from layer to layer, beyond what float16 holds, as those of no trained network do.

    Args:
        model: timm's name.
        side: of its input in pixels; 0 means its own.
        least_variance: that a norm divides by. With 1, the network amplifies no rounding, but its
            answers hardly depend on the image.

    Returns:
        The network; images, uint8 [16, S, S, 3]; probabilities, float32 [16, 14].

    Raises:
        LesionliteError: timm has no such network, or it cannot take images of this side.
    """
    import torch

    from lesionlite.train.model import all_logits
    from lesionlite.train.networks import build_network

    labels = tuple(f"class {index}" for index in range(CLASSES))
    contract = TrainConfig(model=model, side=side).contract(labels)
    torch.manual_seed(0)
    network = build_network(model, CLASSES, side=contract.side)
    with torch.no_grad():  # biases and scales begin as zeros and ones, which converters drop
        for values in network.parameters():
            if values.numel() == max(values.shape):
                values.add_(torch.randn(values.shape), alpha=0.1)
    images = drawn_images(IMAGES, contract.side, seed=0)
    network.eval().requires_grad_(False)
    _fit_norms(network, torch.from_numpy(images).permute(0, 3, 1, 2), contract, least_variance)
    logits = all_logits(network, images, contract)
    spread = float(np.ptp(logits, axis=1).mean()) or 1.0
    # The likeliest class then has a probability of 0.2 to 0.8.
    answers = torch.from_numpy(logits * 4 / spread).softmax(1).numpy()
    described = Contract(**{**vars(contract), "temperature": spread / 4})
    return Source(network, described, Metadata()), images, answers


def _fit_norms(network: Any, images: Any, contract: Contract, least_variance: float) -> None:
    """Let each BatchNorm subtract the mean of what it reads, and divide by its deviation.

    Why the variance has a floor, by default of 0.1: with a floor of 1, all images have nearly the
    same answer (efficientnet_b0: to 0.0001; with 0.1, they differ by 0.87); with none, networks
    amplify the smallest difference, and rounding with it.
    """
    import torch

    from lesionlite.train.model import predict_logits

    def fit(norm: Any, given: tuple[Any, ...]) -> None:
        values = given[0].transpose(0, 1).flatten(1)
        norm.running_mean.copy_(values.mean(1))
        norm.running_var.copy_(values.var(1).clamp_min(least_variance))

    norms = [m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    hooks = [norm.register_forward_pre_hook(fit) for norm in norms]
    with torch.no_grad():
        predict_logits(network, images, contract)
    for hook in hooks:
        hook.remove()


def drawn_images(count: int, side: int, seed: int) -> "Pixels":
    """Drawn images of all classes in turn, uint8 [count, side, side, 3]."""
    from lesionlite.train.data.synthetic import DRAWN, draw

    rng = np.random.default_rng(seed)
    drawn = [draw(index % len(DRAWN), rng, side) for index in range(count)]
    return np.stack([np.asarray(image, np.uint8) for image in drawn])
