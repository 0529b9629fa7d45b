"""What the apps' cores must agree with: cases made by the reference, for tests in their languages.

`python -m tests.mobile_app_stub.app_cases` writes mobile_app_stub/cases.json; test_app_cases.py
compares that file with what this module makes.
"""

import base64
import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from lesionlite.contract import Contract
from lesionlite.rejection import Rejection
from lesionlite.train.calibrate.rejection import (
    Described,
    fit_rejection,
    numbers,
    squared_distances,
)
from lesionlite.train.data.images import Pixels, to_input
from lesionlite.train.data.statistics import image_statistics
from tests.paths import ROOT

CASES = ROOT / "mobile_app_stub" / "cases.json"
LABELS = ("one", "two", "three", "four")
BASE = Contract(LABELS, side=32, unsure_below=0.5, note="drawn")


def make() -> dict[str, Any]:
    """All cases, as cases.json holds them."""
    return {
        "contracts": _contracts(),
        "geometry": _geometry(),
        "inputs": _inputs(),
        "ranking": _rankings(),
        "rejection": _rejections(),
        "golden": _golden(),
    }


def _contracts() -> list[dict[str, Any]]:
    """Contracts, and the field that the refusal of a bad one must name."""
    good = asdict(BASE)
    bad: list[tuple[str, Any]] = [
        ("version", 2),
        ("labels", ["one"]),
        ("labels", ["one", "one"]),
        ("labels", ["one", ""]),
        ("side", 31),
        ("side", 0),
        ("resize", "pad"),
        ("resize_side", 31),
        ("interpolation", "lanczos"),
        ("antialias", False),  # resampling without it is what the apps leave out
        ("unsure_below", 1.0),
        ("unsure_below", -0.1),
    ]
    bad += [("rejection", {**_REJECTION, **wrong}) for wrong in _wrong_rejections()]
    cases = [{"contract": good, "problem": None}]
    cases += [{"contract": {**good, "rejection": _REJECTION}, "problem": None}]
    cases += [{"contract": {**good, "a_later_field": 1}, "problem": None}]
    area = {**good, "interpolation": "area", "antialias": False}
    cases += [{"contract": area, "problem": None}]
    cases += [{"contract": {**good, name: value}, "problem": name} for name, value in bad]
    cases.append({"contract": {**good, "side": 24, "resize_side": 24}, "problem": "side"})
    for name in ("labels", "side", "resize", "interpolation", "unsure_below", "version"):
        without = {key: value for key, value in good.items() if key != name}
        cases.append({"contract": without, "problem": name})
    return cases


def _geometry() -> list[dict[str, Any]]:
    """Sizes after resizing and where the crop begins, halves rounded to even among them."""
    shortest = replace(BASE, resize="shortest", resize_side=36)
    cases = []
    larger = replace(shortest, side=64, resize_side=73)
    for contract in (BASE, shortest, replace(shortest, resize_side=32), larger):
        for width, height in (
            (100, 60),
            (60, 100),
            (32, 32),
            (8, 9),
            (72, 73),
            (73, 72),
            (4000, 1),
        ):
            scaled = (contract.side, contract.side)
            if contract.resize == "shortest":
                scale = contract.resize_side / min(width, height)
                scaled = tuple(
                    max(contract.resize_side, round(length * scale)) for length in (width, height)
                )
            crop = [(length - contract.side) // 2 for length in scaled]
            size = {"width": width, "height": height, "contract": asdict(contract)}
            cases.append({**size, "scaled": list(scaled), "crop": crop})
    return cases


def _inputs() -> list[dict[str, Any]]:
    """Images of noise and what `to_input` makes of them: larger, smaller, one way, every filter.

    The last are so tall that it matters whether width or height is resized first.
    """
    rng = np.random.default_rng(0)
    shortest = replace(BASE, resize="shortest", resize_side=37)
    cases = []
    for contract in (BASE, shortest):
        for interpolation in ("nearest", "bilinear", "bicubic", "area"):
            chosen = replace(contract, interpolation=interpolation)
            cases += [_input(rng, size, chosen) for size in ((75, 50), (32, 61), (21, 29))]
    filters = ("bilinear", "bicubic", "area")
    return cases + [_input(rng, (34, 90), replace(BASE, interpolation=name)) for name in filters]


def _input(rng: np.random.Generator, size: tuple[int, int], contract: Contract) -> dict[str, Any]:
    width, height = size
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return {
        "width": width,
        "height": height,
        "pixels": _base64(image),
        "contract": asdict(contract),
        "expected": _base64(to_input(image, contract)),
    }


def _base64(pixels: "np.ndarray[Any, Any]") -> str:
    return base64.b64encode(pixels.tobytes()).decode()


def _rankings() -> list[dict[str, Any]]:
    """Top three by falling probability, equal ones in the order of the labels."""
    cases = []
    for probabilities in (
        [0.1, 0.6, 0.05, 0.25],
        [0.25, 0.25, 0.25, 0.25],
        [0.0, 0.5, 0.5, 0.0],
        [0.3, 0.0, 0.2, 0.5],
        [0.49, 0.02, 0.49, 0.0],
    ):
        order = sorted(range(len(LABELS)), key=lambda index: -probabilities[index])[:3]
        cases.append(
            {
                "probabilities": probabilities,
                "contract": asdict(BASE),
                "top": [[LABELS[index], probabilities[index]] for index in order],
                "unsure": max(probabilities) < BASE.unsure_below,
            }
        )
    two = replace(BASE, labels=("yes", "no"))
    ranked = [["no", 0.75], ["yes", 0.25]]
    cases.append(
        {
            "probabilities": [0.25, 0.75],
            "contract": asdict(two),
            "top": ranked,
            "unsure": False,
        }
    )
    return cases


def _fitted() -> Rejection:
    """A rejection fitted to smooth images, whose classes differ in colour."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, len(LABELS), 60)
    logits = rng.normal(size=(60, len(LABELS))) + 4 * np.eye(len(LABELS))[truth]
    images = image_statistics(_smooth(rng, 40 * index + 60) for index in truth)
    found = fit_rejection(Described(logits, images, truth), 0.05)
    assert found is not None
    return found


def _smooth(rng: np.random.Generator, red: int) -> Pixels:
    slope = np.linspace(0, rng.uniform(10, 60), 32)
    image = np.full((32, 32, 3), (red, 140, 120)) + slope[:, None] + rng.normal(0, 3, (32, 32, 3))
    return np.asarray(image.clip(0, 255), np.uint8)


def _wrong_rejections() -> list[dict[str, Any]]:
    short = [row[1:] for row in _REJECTION["centres"]]
    return [
        {"least_probability": 0.0},
        {"reject_above": 0.0},
        {"whitening": _REJECTION["whitening"][1:]},
        {"whitening": []},
        {"centres": short},
        {"centres": []},
    ]


_REJECTION = asdict(_fitted())


def _rejections() -> list[dict[str, Any]]:
    """Images of the kind and of others, plain ones and probabilities of 0 among them."""
    rng = np.random.default_rng(1)
    contract = Contract.from_json(json.dumps({**asdict(BASE), "rejection": _REJECTION}))
    assert contract.rejection is not None
    sure, even = [0.01, 0.97, 0.01, 0.01], [0.25] * 4
    cases = []
    for image, probabilities in (
        (_smooth(rng, 100), sure),
        (_smooth(rng, 180), [0.01, 0.01, 0.01, 0.97]),
        (_smooth(rng, 100), even),
        (_smooth(rng, 100), [0.0, 1.0, 0.0, 0.0]),
        (np.full((32, 32, 3), 128, np.uint8), sure),
        (np.zeros((32, 32, 3), np.uint8), sure),
        (rng.integers(0, 256, (32, 32, 3), np.uint8), sure),
    ):
        answers = np.array([probabilities])
        (distance,) = squared_distances(
            contract.rejection, numbers(answers, image_statistics([image]))
        )
        cases.append(
            {
                "pixels": _base64(image),
                "probabilities": probabilities,
                "contract": asdict(contract),
                "distance": float(distance),
                "rejected": bool(distance > contract.rejection.reject_above),
            }
        )
    return cases


def _golden() -> list[dict[str, Any]]:
    """Answers within the tolerance, just outside, not finite, and too few."""
    expected = [[0.5, 0.25, 0.125, 0.125], [0.0, 1.0, 0.0, 0.0]]
    golden = {
        "how_to": "",
        "labels": list(LABELS),
        "images": ["0.png", "1.png"],
        "artifacts": {
            "model.bin": {
                "sha256": "0" * 64,
                "tolerance": 0.0625,
                "runtime": "none",
                "probabilities": expected,
            }
        },
    }

    def case(found: list[list[float | None]]) -> dict[str, Any]:
        values = [
            abs((math.nan if a is None else a) - b)
            for rows in zip(found, expected, strict=True)
            for a, b in zip(*rows, strict=True)
        ]
        finite = all(math.isfinite(value) for value in values)
        largest = max(values) if finite else None
        return {
            "golden": golden,
            "artifact": "model.bin",
            "found": found,
            "passed": finite and max(values) <= 0.0625,
            "largest": largest,
        }

    at_the_edge = [[0.5625, 0.1875, 0.125, 0.125], expected[1]]
    beyond = [expected[0], [0.0, 0.9375, 0.0, 0.0625 + 2**-20]]
    shuffled = [expected[0], [1.0, 0.0, 0.0, 0.0]]
    not_finite = [[None, 0.25, 0.125, 0.125], expected[1]]
    return [case(f) for f in (expected, at_the_edge, beyond, shuffled, not_finite)]


def text() -> str:
    """What the file holds: a line per case, so that a change can be read."""
    parts = []
    for name, cases in make().items():
        lines = ",\n".join("    " + json.dumps(case) for case in cases)
        parts.append(f'  "{name}": [\n{lines}\n  ]')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    CASES.write_text(text(), encoding="utf-8")
