"""Show which regions of an image speak for a class: captum's Grad-CAM (Selvaraju et al. 2017)."""

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
from lesionlite.train.model import calibrated, load_run, predict_logits

MIN_CELLS = 7  # across a feature map: the size of the last map at an input of 224 pixels


@dataclass(frozen=True)
class Explanation:
    """The explanation of one image.

    Attributes:
        image: the image file.
        picture: the PNG with the heat map.
        label: the class that is explained.
        probability: of that class, by the network.
        answer: the most probable class.
        centre: centre of mass of the heat map, as shares of width and height from the top left;
            None if the map is zero everywhere.
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
    """Draw a heat map for each image, and list the results in explanations.json.

    Args:
        run: run folder; Grad-CAM needs gradients, which converted files do not have.
        images: files, and folders to search for images.
        out: folder for a PNG per image.
        label: the class to explain; by default the most probable one of each image.
        layer: whose activations are weighted; by default the last stage whose feature map has at
            least `MIN_CELLS` cells across.

    Raises:
        LesionliteError: if there is no run, no image, no such class or no such layer, an image
            cannot be decoded, or captum is not installed.
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
    files = list(_with_names(images))
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
    explanations = []
    inputs = track(decode([file for file, _ in files], contract), "explaining", len(files))
    for (file, name), pixels in zip(files, inputs, strict=True):
        heat, probabilities, target = heat_map(network, module, pixels, contract, wanted)
        picture = out / name.with_name(name.name + ".png")
        title = f"{contract.labels[target]} {probabilities[target]:.3f}"
        draw_heat(pixels, heat, title, picture)
        explanations.append(
            Explanation(
                image=str(file),
                picture=str(picture),
                label=contract.labels[target],
                probability=float(probabilities[target]),
                answer=contract.labels[int(probabilities.argmax())],
                centre=_centre(heat),
            )
        )
    document = {"note": contract.note, "images": [asdict(one) for one in explanations]}
    write_json(out / EXPLANATIONS, document)
    return explanations


def heat_map(
    network: nn.Module, layer: nn.Module, pixels: Pixels, contract: Contract, target: int | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
    """Compute the Grad-CAM heat map of one image.

    Args:
        network: computes logits [1, C].
        layer: one of its modules, with output [1, D, h, w].
        pixels: uint8 [S, S, 3].
        contract: says how pixels are normalized.
        target: index of the class; None for the most probable one.

    Returns:
        The heat map, float32 [S, S], from 0 (does not speak for the class) to 1; the probabilities,
        float32 [C]; and the index of the class.
    """
    from captum.attr import LayerAttribution, LayerGradCam

    image = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2).float().requires_grad_()

    def logits(x: Tensor) -> Tensor:
        return calibrated(predict_logits(network, x, contract), contract)

    probabilities = logits(image).detach()[0].softmax(-1).numpy()
    target = int(probabilities.argmax()) if target is None else target
    cam: Any = LayerGradCam(logits, layer).attribute(image, target, relu_attributions=True)
    heat = LayerAttribution.interpolate(cam, pixels.shape[:2], "bilinear")[0, 0].detach().numpy()
    return heat / max(float(heat.max()), 1e-12), probabilities, target


def _with_names(paths: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Each image and its name: its path relative to the given folder, or its file name."""
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
    """The stage called `name`; by default the last one with at least `MIN_CELLS` cells across."""
    stages = {info["module"]: side // info["reduction"] for info in network.feature_info}
    name = name or [stage for stage, cells in stages.items() if cells >= MIN_CELLS][-1]
    if name not in stages:
        raise unknown_choice("layer", name, stages)
    stage: nn.Module = network.get_submodule(name)
    return stage


def _centre(heat: NDArray[np.float32]) -> tuple[float, float] | None:
    total = float(heat.sum())
    if total <= 0:
        return None
    at = (np.arange(len(heat)) + 0.5) / len(heat)
    return float((heat.sum(0) * at).sum() / total), float((heat.sum(1) * at).sum() / total)
