"""The embedded default: drawn 14-class images for a first run and for tests. No medical meaning.

Each class has a palette, a shape and a texture of its own, and most have a neighbour that differs
in one of them only, so that a network must look at fine differences, and quantization faults show.
"""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from lesionlite.console import track
from lesionlite.contract import MEDICAL
from lesionlite.documents import read_json
from lesionlite.errors import LesionliteError
from lesionlite.files import replacing, write_json
from lesionlite.layout import DATASET
from lesionlite.train.data.prepare import CLASSES

NOTE = "drawn images, of no medical meaning"
# Half of them are for the test: on few images the verdict on a file hangs on a tie or two.
SHARES = {"train": 0.4, "val": 0.1, "test": 0.5}


@dataclass(frozen=True)
class DrawnClass:
    """How one class is drawn: colours as RGB 0..255, shape and texture by name."""

    skin: tuple[int, int, int]
    spot: tuple[int, int, int]
    shape: str
    texture: str


_PALE, _PINK, _TAN, _BROWN = (232, 205, 190), (235, 175, 165), (214, 172, 138), (178, 128, 96)
DRAWN = (
    DrawnClass(_PALE, (200, 120, 110), "blob", "flakes"),
    DrawnClass(_PALE, (205, 140, 150), "ring", "veins"),
    DrawnClass(_TAN, (150, 100, 70), "blob", "dots"),
    DrawnClass(_PINK, (200, 60, 60), "many", "plain"),
    DrawnClass(_BROWN, (120, 70, 90), "many", "ring"),
    DrawnClass(_PALE, (170, 110, 90), "blob", "centre"),
    DrawnClass(_PINK, (220, 90, 80), "few", "plain"),
    DrawnClass(_TAN, (214, 172, 138), "none", "plain"),
    DrawnClass(_PINK, (205, 80, 90), "rash", "plain"),
    DrawnClass(_TAN, (110, 70, 50), "disc", "plain"),
    DrawnClass(_TAN, (70, 45, 45), "blob", "patches"),
    DrawnClass(_BROWN, (210, 170, 130), "many", "ring"),
    DrawnClass(_PALE, (190, 120, 115), "blob", "crust"),
    DrawnClass(_PALE, (170, 30, 60), "disc", "lobes"),
)


def counts(images: int) -> list[int]:
    """Long-tailed images per class that sum to about `images`.

    The rarest has a twelfth of the commonest; rare and common mix along the alphabet.
    """
    ranks = [8, 5, 3, 10, 13, 11, 7, 2, 9, 0, 1, 4, 6, 12]
    weights = [12 ** (-rank / (len(ranks) - 1)) for rank in ranks]
    return [max(8, round(images * weight / sum(weights))) for weight in weights]


def draw(label: int, rng: np.random.Generator, side: int = 144) -> Image.Image:
    """Draw one image of class `label`, an RGB square of `side` pixels."""
    look = DRAWN[label]
    scale = 2  # drawn larger, then shrunk: smooth edges
    size = side * scale
    skin = _vary(look.skin, rng, 14)
    image = Image.new("RGB", (size, size), skin)
    spots = _spots(look.shape, rng, size)
    for x, y, radius in spots:
        _draw_spot(image, look, (x, y, radius), rng)
    if rng.random() < 0.35:
        _draw_hairs(ImageDraw.Draw(image), rng, size)
    image = image.resize((side, side), Image.Resampling.BOX)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.2)))
    return Image.fromarray(_light(np.asarray(image, np.float32), rng))


def _vary(colour: tuple[int, int, int], rng: np.random.Generator, by: float) -> tuple[int, ...]:
    shift = rng.normal(0, by / 2) + rng.normal(0, by / 3, 3)
    return tuple(int(np.clip(c + s, 0, 255)) for c, s in zip(colour, shift, strict=True))


def _spots(shape: str, rng: np.random.Generator, size: int) -> list[tuple[float, float, float]]:
    number, low, high = {
        "none": (0, 0.1, 0.2),
        "few": (int(rng.integers(3, 7)), 0.05, 0.08),
        "many": (int(rng.integers(9, 16)), 0.035, 0.065),
        "rash": (int(rng.integers(35, 60)), 0.015, 0.03),
    }.get(shape, (1, 0.2, 0.34))
    margin = 0.32 if number == 1 else 0.06
    return [
        (*(rng.uniform(margin, 1 - margin, 2) * size), rng.uniform(low, high) * size)
        for _ in range(number)
    ]


def _outline(
    x: float, y: float, radius: float, rough: float, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """A closed outline whose radius wobbles by `rough` in its first harmonics."""
    angles = np.linspace(0, 2 * math.pi, 60, endpoint=False)
    wobble = sum(
        rng.normal(0, rough / k) * np.cos(k * angles + rng.uniform(0, 2 * math.pi))
        for k in range(2, 7)
    )
    radii = radius * np.clip(1 + wobble, 0.4, 1.7)
    return [(x + r * math.cos(a), y + r * math.sin(a)) for r, a in zip(radii, angles, strict=True)]


def _draw_spot(
    image: Image.Image,
    look: DrawnClass,
    place: tuple[float, float, float],
    rng: np.random.Generator,
) -> None:
    """Draw one spot on a patch of its own, pasted through a soft-edged mask."""
    x, y, radius = place
    half = math.ceil(2 * radius)  # outlines reach 1.7 radii
    corner = int(x) - half, int(y) - half
    x, y = x - corner[0], y - corner[1]
    rough = {"disc": 0.05, "ring": 0.08}.get(look.shape, 0.22)
    colour = _vary(look.spot, rng, 16)
    mask = Image.new("L", (2 * half, 2 * half))
    ImageDraw.Draw(mask).polygon(_outline(x, y, radius, rough, rng), fill=255)
    layer = Image.new("RGB", mask.size, colour)
    pen = ImageDraw.Draw(layer)
    _TEXTURES.get(look.texture, _plain)(pen, (x, y, radius), colour, rng)
    if look.shape == "ring":
        inner = _outline(x, y, radius * 0.6, rough, rng)
        pen.polygon(inner, fill=_vary(look.skin, rng, 10))
    image.paste(layer, corner, mask.filter(ImageFilter.GaussianBlur(radius * 0.06)))


Pen = ImageDraw.ImageDraw
Place = tuple[float, float, float]


def _plain(pen: Pen, place: Place, colour: tuple[int, ...], rng: np.random.Generator) -> None:
    """One colour."""


def _scatter(
    pen: Pen, place: Place, fill: tuple[int, ...], rng: np.random.Generator, n: int, size: float
) -> None:
    x, y, radius = place
    for _ in range(n):
        angle, far = rng.uniform(0, 2 * math.pi), radius * math.sqrt(rng.uniform(0, 1.2))
        cx, cy, r = x + far * math.cos(angle), y + far * math.sin(angle), radius * size
        r *= rng.uniform(0.6, 1.4)
        pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=fill)


def _shade(colour: tuple[int, ...], by: int) -> tuple[int, ...]:
    return tuple(max(0, min(255, c + by)) for c in colour)


def _flakes(pen: Pen, place: Place, colour: tuple[int, ...], rng: np.random.Generator) -> None:
    _scatter(pen, place, _shade(colour, 55), rng, 18, 0.07)


def _dots(pen: Pen, place: Place, colour: tuple[int, ...], rng: np.random.Generator) -> None:
    _scatter(pen, place, _shade(colour, -45), rng, 24, 0.06)


def _patches(pen: Pen, place: Place, colour: tuple[int, ...], rng: np.random.Generator) -> None:
    _scatter(pen, place, _shade(colour, 45), rng, 4, 0.28)
    _scatter(pen, place, _shade(colour, -35), rng, 4, 0.25)


def _crust(pen: Pen, place: Place, colour: tuple[int, ...], rng: np.random.Generator) -> None:
    _scatter(pen, place, (225, 200, 120), rng, 6, 0.18)


def _lobes(pen: Pen, place: Place, colour: tuple[int, ...], rng: np.random.Generator) -> None:
    _scatter(pen, place, _shade(colour, -60), rng, 9, 0.2)


def _centre(pen: Pen, place: Place, colour: tuple[int, ...], rng: np.random.Generator) -> None:
    x, y, radius = place
    r = radius * rng.uniform(0.4, 0.5)
    pen.ellipse((x - r, y - r, x + r, y + r), fill=_shade(colour, 65))


def _ring(pen: Pen, place: Place, colour: tuple[int, ...], rng: np.random.Generator) -> None:
    x, y, radius = place
    r = radius * 0.5
    pen.ellipse((x - r, y - r, x + r, y + r), fill=_shade(colour, -70))


def _veins(pen: Pen, place: Place, colour: tuple[int, ...], rng: np.random.Generator) -> None:
    x, y, radius = place
    for _ in range(7):
        points = rng.normal(0, radius * 0.7, (3, 2)) + (x, y)
        pen.line([tuple(p) for p in points], fill=(170, 50, 60), width=max(2, int(radius * 0.05)))


_TEXTURES = {
    "flakes": _flakes,
    "dots": _dots,
    "patches": _patches,
    "crust": _crust,
    "lobes": _lobes,
    "centre": _centre,
    "ring": _ring,
    "veins": _veins,
}


def _draw_hairs(pen: Pen, rng: np.random.Generator, size: int) -> None:
    for _ in range(int(rng.integers(1, 6))):
        start, end = rng.uniform(0, size, (2, 2))
        pen.line([*start, *end], fill=(60, 45, 40), width=int(rng.integers(2, 4)))


def _light(pixels: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Uneven light, a colour cast, and sensor noise."""
    side = pixels.shape[0]
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    slope = rng.normal(0, 0.05, 2)
    light = 1 + slope[0] * ramp[:, None] + slope[1] * ramp[None, :]
    cast = rng.normal(1, 0.02, 3)
    noisy = pixels * light[..., None] * cast + rng.normal(0, rng.uniform(2, 7), pixels.shape)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


def draw_dataset(folder: Path, images: int, seed: int = 0) -> Path:
    """Draw an ImageFolder with train/, val/ and test/, all or nothing; returns `folder`.

    The same arguments draw the same pixels. A folder that these arguments drew before stays.

    Args:
        folder: to write.
        images: how many over all splits, about.
        seed: of all randomness.

    Raises:
        LesionliteError: if `folder` holds something else.
    """
    record = {
        "labels": list(CLASSES),
        "note": NOTE,
        "disclaimer": MEDICAL,
        "images": images,
        "seed": seed,
        "version": 2,
    }
    if read_json(folder / DATASET) == record:
        return folder
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise LesionliteError(f"{folder} holds other images; delete it or choose another folder")
    per_class = counts(images)
    jobs = [
        (split, label, index)
        for label, total in enumerate(per_class)
        for split, number in _divide(total).items()
        for index in range(number)
    ]
    with replacing(folder) as temporary, ThreadPoolExecutor(os.cpu_count()) as pool:

        def save(job: tuple[str, int, int]) -> None:
            split, label, index = job
            rng = np.random.default_rng([seed, label, list(SHARES).index(split), index])
            target = temporary / split / CLASSES[label]
            target.mkdir(parents=True, exist_ok=True)
            draw(label, rng).save(target / f"drawn_{label:02d}_{split}_{index:04d}.png")

        for _ in track(pool.map(save, jobs), "drawing images", len(jobs)):
            pass
        write_json(temporary / DATASET, record)
    return folder


def _divide(total: int) -> dict[str, int]:
    val, test = (max(2, round(total * SHARES[name])) for name in ("val", "test"))
    return {"train": total - val - test, "val": val, "test": test}
