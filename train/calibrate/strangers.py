"""Draw images of other kinds, to see whether a network rejects them: scenes, textures, faults."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from lesionlite.contract import Contract
from lesionlite.train.data.images import Pixels, to_input

Rng = np.random.Generator
Pen = ImageDraw.ImageDraw
Colour = tuple[int, int, int]
SIZE = 256  # pixels, in which scenes and textures are drawn


def draw_strangers(images: Pixels, contract: Contract, number: int) -> dict[str, Pixels]:
    """Images of other kinds by kind, each uint8 [number, S, S, 3]; every call draws the same.

    Args:
        images: of the kind, uint8 [N, S, S, 3]; some of them are spoiled.
        contract: says how images are resized.
        number: of images of each kind.
    """
    rng = np.random.default_rng(0)
    chosen = images[rng.choice(len(images), number)]
    return {
        "drawn scenes": np.stack([to_input(_scene(rng), contract) for _ in range(number)]),
        "textures": np.stack([to_input(_texture(rng), contract) for _ in range(number)]),
        "spoiled images": np.stack([_spoiled(image, rng) for image in chosen]),
    }


def _scene(rng: Rng) -> Pixels:
    image = Image.new("RGB", (SIZE, SIZE), _colour(rng, 60, 256))
    draw: Callable[[Pen, Rng], None] = (_landscape, _room, _page, _animal)[rng.integers(4)]
    draw(ImageDraw.Draw(image), rng)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    return _with_noise(np.asarray(image, float), rng, rng.uniform(2, 8))


def _landscape(pen: Pen, rng: Rng) -> None:
    """Sky, sun, hills, and trees and houses on the ground."""
    horizon = SIZE * rng.uniform(0.4, 0.7)
    pen.rectangle((0, 0, SIZE, SIZE), fill=_colour(rng, (80, 140, 200), (180, 220, 256)))
    _disc(pen, rng.uniform(0, SIZE), rng.uniform(0, horizon / 2), rng.uniform(10, 23), "khaki")
    for _ in range(rng.integers(1, 4)):
        tops = [(x, horizon - abs(rng.normal(0, 30))) for x in np.linspace(0, SIZE, 7)]
        pen.polygon(
            [(0, SIZE), *tops, (SIZE, SIZE)], fill=_colour(rng, (20, 50, 20), (90, 150, 80))
        )
    pen.rectangle((0, horizon, SIZE, SIZE), fill=_colour(rng, (30, 90, 20), (120, 180, 90)))
    for _ in range(rng.integers(2, 9)):
        x, y, size = rng.uniform(0, SIZE), rng.uniform(horizon, SIZE), rng.uniform(13, 51)
        if rng.random() < 0.5:
            pen.rectangle((x - size / 10, y - size, x + size / 10, y), fill="saddlebrown")
            _disc(pen, x, y - 1.2 * size, size / 2, _colour(rng, (10, 80, 20), (80, 160, 50)))
        else:
            pen.rectangle((x - size / 2, y - size, x + size / 2, y), fill=_colour(rng, 80, 256))
            roof = [(x - 0.6 * size, y - size), (x, y - 1.5 * size), (x + 0.6 * size, y - size)]
            pen.polygon(roof, fill=_colour(rng, 40, 200))


def _room(pen: Pen, rng: Rng) -> None:
    """A floor, and things of one colour each."""
    pen.rectangle((0, SIZE * rng.uniform(0.55, 0.8), SIZE, SIZE), fill=_colour(rng, 40, 200))
    for _ in range(rng.integers(2, 7)):
        x, y = rng.uniform(0, SIZE, 2)
        wide, high = rng.uniform(20, 90, 2)
        shape = pen.rectangle if rng.random() < 0.6 else pen.ellipse
        shape((x - wide, y - high, x + wide, y + high), fill=_colour(rng), outline=_colour(rng))


def _page(pen: Pen, rng: Rng) -> None:
    """Lines of dark words on paper."""
    pen.rectangle((0, 0, SIZE, SIZE), fill=_colour(rng, 225, 256))
    step = rng.uniform(6, 15)
    for y in np.arange(15, 0.95 * SIZE, step):
        x = 18.0
        while x < 0.9 * SIZE:
            width = rng.uniform(5, 23)
            pen.rectangle((x, y, x + width, y + step / 2), fill=_colour(rng, 0, 60))
            x += width + 4


def _animal(pen: Pen, rng: Rng) -> None:
    """A head with ears and eyes, on a body."""
    x, y = rng.uniform(0.35 * SIZE, 0.65 * SIZE, 2)
    r, fur = rng.uniform(40, 77), _colour(rng, 30, 230)
    pen.ellipse((x - 1.4 * r, y + 0.3 * r, x + 1.4 * r, y + 3 * r), fill=fur)
    _disc(pen, x, y, r, fur)
    for s in (-r, r):
        ear = [(x + 0.9 * s, y - 0.3 * r), (x + 0.75 * s, y - 1.5 * r), (x + 0.1 * s, y - 0.8 * r)]
        pen.polygon(ear, fill=fur)
        _disc(pen, x + 0.4 * s, y - 0.2 * r, 0.18 * r, "ivory")
        _disc(pen, x + 0.4 * s, y - 0.2 * r, 0.08 * r, "black")


def _texture(rng: Rng) -> Pixels:
    """Stripes, checks, rings, clouds or bricks of two colours, at any angle and scale."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    angle, often = rng.uniform(0, math.pi), rng.uniform(3, 30)
    u = often * (x * math.cos(angle) + y * math.sin(angle))
    v = often * (y * math.cos(angle) - x * math.sin(angle))
    cells = rng.random((rng.integers(4, 128),) * 2) * 255
    clouds = Image.fromarray(cells.astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    share = (
        u % 1 < 0.5,
        (u % 1 < 0.5) ^ (v % 1 < 0.5),
        0.5 + 0.5 * np.sin(2 * math.pi * np.hypot(u - 1, v - 1)),
        np.asarray(clouds) / 255,
        (v % 1 > 0.12) & ((u + np.floor(v)) / 2 % 1 > 0.06),
    )[rng.integers(5)]
    one, other = np.array([_colour(rng), _colour(rng)])
    return _with_noise(other + (one - other) * share[..., None], rng, 5)


def _spoiled(image: Pixels, rng: Rng) -> Pixels:
    """Out of focus, noisy, negative, far too dark, far too bright, or of exchanged channels."""
    fault, side = rng.integers(6), len(image)
    if fault == 0:
        blur = ImageFilter.GaussianBlur(side * rng.uniform(0.05, 0.12))
        return np.asarray(Image.fromarray(image).filter(blur))
    if fault == 1:
        return _with_noise(image, rng, rng.uniform(60, 120))
    if fault == 2:
        return np.invert(image)
    if fault == 3:
        return np.asarray(image * rng.uniform(0.02, 0.12), np.uint8)
    if fault == 4:
        return np.asarray(np.clip(image * 0.9 + rng.uniform(140, 220), 0, 255), np.uint8)
    return np.ascontiguousarray(image[..., [2, 0, 1]])


def _colour(rng: Rng, low: int | Colour = 0, high: int | Colour = 256) -> Colour:
    red, green, blue = rng.integers(low, high, 3)
    return int(red), int(green), int(blue)


def _disc(pen: Pen, x: float, y: float, radius: float, fill: str | Colour) -> None:
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _with_noise(pixels: NDArray[np.number], rng: Rng, deviation: float) -> Pixels:
    noisy = pixels + rng.normal(0, deviation, pixels.shape)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)
