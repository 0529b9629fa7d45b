"""Where in an image a network saw the class it answers: Grad-CAM by captum (Selvaraju 2017)."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lesionlite.console import say, track
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.files import write_json
from lesionlite.layout import EXPLANATIONS, is_run
from lesionlite.outputs import writing_into
from lesionlite.train.data.folders import find_images, sentences
from lesionlite.train.data.images import Pixels, decode
from lesionlite.train.figures import draw_heat
from lesionlite.train.model import load_run, predict_logits

FINE = 7  # cells across, as the last maps of the networks in the paper have at 224 pixels


@dataclass(frozen=True)
class Explanation:
    """What was drawn for one image.

    Attributes:
        image: the file.
        picture: the PNG with the heat map.
        label: the class that is explained.
        probability: that the network gives it.
        answer: the class it finds likeliest.
        centre: of the heat, as shares of width and height from the top left; None without heat.
    """

    image: str
    picture: str
    label: str
    probability: float
    answer: str
    centre: tuple[float, float] | None


def explain(
    run: Path, images: Sequence[Path], out: Path, label: str | None = None, layer: str = ""
) -> list[Explanation]:
    """Draw each image with what the network looked at, and list them in explanations.json.

    Args:
        run: run folder; a converted file has no gradients to follow.
        images: files, and folders to search for images.
        out: folder for a PNG per image.
        label: the class to explain; by default each image's likeliest.
        layer: whose activations are weighed; by default the last stage with `FINE` cells across.

    Raises:
        LesionliteError: no run, no image, an image that cannot be decoded, no such class or layer;
            or captum is not installed.
    """
    if not is_run(run):
        raise LesionliteError(
            f"{run} is no run folder; Grad-CAM follows gradients, which converted files do not "
            "have: name the run that it was made from"
        )
    if find_spec("captum") is None:
        raise LesionliteError(
            "explain needs captum, which is not installed: pip install 'lesionlite[explain]'"
        )
    files = list(_named(images))
    with writing_into(out, RUN=run, **{f"IMAGE {i}": path for i, path in enumerate(images)}):
        return _explain(run, files, out, label, layer)


def _explain(
    run: Path, files: Sequence[tuple[Path, Path]], out: Path, label: str | None, layer: str
) -> list[Explanation]:
    network, contract = load_run(run)
    if label is not None and label not in contract.labels:
        raise unknown_choice("class", label, contract.labels)
    module = _layer(network, layer, contract.side)
    wanted = None if label is None else contract.labels.index(label)
    made = []
    inputs = track(decode([file for file, _ in files], contract), "explaining", len(files))
    for (file, name), pixels in zip(files, inputs, strict=True):
        heat, probabilities, target = heat_map(network, module, pixels, contract, wanted)
        picture = out / name.with_name(name.name + ".png")
        said = f"{contract.labels[target]} {probabilities[target]:.3f}"
        draw_heat(pixels, heat, said, picture)
        made.append(
            Explanation(
                image=str(file),
                picture=str(picture),
                label=contract.labels[target],
                probability=float(probabilities[target]),
                answer=contract.labels[int(probabilities.argmax())],
                centre=_centre(heat),
            )
        )
    write_json(out / EXPLANATIONS, {"note": contract.note, "images": [asdict(e) for e in made]})
    return made


def heat_map(
    network: nn.Module, layer: nn.Module, pixels: Pixels, contract: Contract, target: int | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
    """What of an image speaks for a class.

    Args:
        network: gives logits [1, C].
        layer: one of its modules, whose output is [1, D, h, w].
        pixels: uint8 [S, S, 3].
        contract: says how pixels are normalized.
        target: index of the class; None for the likeliest.

    Returns:
        float32 [S, S] from 0 to 1, 0 where nothing speaks for it; probabilities [C]; the class.
    """
    from captum.attr import LayerAttribution, LayerGradCam

    image = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2).float().requires_grad_()

    def logits(x: Tensor) -> Tensor:
        return predict_logits(network, x, contract) / contract.temperature

    probabilities = logits(image).detach()[0].softmax(-1).numpy()
    target = int(probabilities.argmax()) if target is None else target
    cam: Any = LayerGradCam(logits, layer).attribute(image, target, relu_attributions=True)
    heat = LayerAttribution.interpolate(cam, pixels.shape[:2], "bilinear")[0, 0].detach().numpy()
    return heat / max(float(heat.max()), 1e-12), probabilities, target


def _named(paths: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Each image with the name of its picture: below a folder that was named, as it lies there."""
    found = False
    for path in paths:
        if not path.is_dir():
            found = True
            yield path, Path(path.name)
            continue
        inside = find_images(path)
        for sentence in sentences(inside.left_out, path):
            say(sentence)
        for file in inside.files:
            found = True
            yield file, file.relative_to(path)
    if not found:
        raise LesionliteError("there is no image to explain; name image files, or folders of them")


def _layer(network: Any, name: str, side: int) -> nn.Module:
    """The stage called `name`; by default the last whose map has `FINE` cells or more across."""
    stages = {place["module"]: side // place["reduction"] for place in network.feature_info}
    name = name or [stage for stage, cells in stages.items() if cells >= FINE][-1]
    if name not in stages:
        raise unknown_choice("layer", name, stages)
    stage: nn.Module = network.get_submodule(name)
    return stage


def _centre(heat: NDArray[np.float32]) -> tuple[float, float] | None:
    total = float(heat.sum())
    if total <= 0:
        return None
    places = (np.arange(len(heat)) + 0.5) / len(heat)
    return float((heat.sum(0) * places).sum() / total), float((heat.sum(1) * places).sum() / total)
