"""What goes into a model and what comes out: one record for training, export, benchmark and apps.

Standard library only, so that anything can read a contract. Saved as `contract.json` beside a
checkpoint, embedded in every artifact, copied into every app. No stage keeps a copy of any of it.
"""

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from train.errors import LesionliteError

VERSION = 1
RESIZE_RULES = ("squash", "shortest")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "area")


@dataclass(frozen=True)
class Contract:
    """How an image becomes a network's input, and what its outputs are called.

    An app decodes the image (turned upright by its EXIF orientation), resizes and crops it to an
    8-bit RGB square of `side` pixels, and hands that to the artifact; everything after that
    (normalization, temperature, softmax) is inside the artifact.

    Attributes:
        labels: class names in the order of the output probabilities.
        side: S; the artifact takes uint8 [1, S, S, 3], RGB.
        resize: `squash` resizes the whole image to S x S whatever its shape; `shortest` resizes its
            shorter side to `resize_side` and cuts the S x S centre out.
        resize_side: the shorter side after resizing in pixels, for `shortest`; S for `squash`.
        interpolation: how pixels are resampled.
        antialias: whether the filter widens when the image shrinks (as Pillow's does).
        mean: subtracted from the channels' values scaled to 0..1.
        std: what the difference is then divided by.
        temperature: logits are divided by it before the softmax (Guo et al. 2017, eq. 9).
        unsure_below: where the largest probability is below it, an app says "not sure".
        note: what every reader of a result must know, e.g. that the images are drawn.
        version: of this record's meaning.
    """

    labels: tuple[str, ...]
    side: int = 256
    resize: Literal["squash", "shortest"] = "squash"
    resize_side: int = 0
    interpolation: Literal["nearest", "bilinear", "bicubic", "area"] = "bilinear"
    antialias: bool = True
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    temperature: float = 1.0
    unsure_below: float = 0.0
    note: str = ""
    version: int = VERSION

    def __post_init__(self) -> None:
        """Refuse what no artifact could honour.

        Raises:
            LesionliteError: naming the field, its value, and what it may be.
        """
        if not self.resize_side:
            object.__setattr__(self, "resize_side", self.side)
        problem = self._problem()
        if problem:
            raise LesionliteError(f"the contract is not valid: {problem}")

    def _problem(self) -> str | None:
        if self.version != VERSION:
            return f"version is {self.version}, this lesionlite reads version {VERSION}"
        if len(self.labels) < 2:
            return f"a classifier needs at least 2 labels, not {len(self.labels)}"
        if len(set(self.labels)) != len(self.labels) or not all(self.labels):
            return "labels must be unique and not empty"
        if self.side < 32 or self.side % 32:
            return f"side is {self.side}, it must be a multiple of 32"
        if self.resize not in RESIZE_RULES:
            return f"resize is {self.resize!r}, choose from: {', '.join(RESIZE_RULES)}"
        if self.resize_side < self.side:
            return f"resize_side {self.resize_side} is smaller than side {self.side}"
        if self.resize == "squash" and self.resize_side != self.side:
            return "resize_side differs from side, which only resize 'shortest' allows"
        if self.interpolation not in INTERPOLATIONS:
            known = ", ".join(INTERPOLATIONS)
            return f"interpolation is {self.interpolation!r}, choose from: {known}"
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            return "mean and std need three numbers each, std above zero"
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            return f"temperature is {self.temperature}, it must be above zero"
        if not 0 <= self.unsure_below < 1:
            return f"unsure_below is {self.unsure_below}, it must be from 0 up to, not including, 1"
        return None

    def to_json(self) -> str:
        """The record as a JSON document, keys in a fixed order."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "contract.json") -> "Contract":
        """Read a contract from JSON text.

        Args:
            text: what `to_json` wrote.
            source: where the text came from, named in errors.

        Raises:
            LesionliteError: if the text is no contract, or one that is not valid.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            known = {field.name for field in fields(cls)}
            unknown = sorted(set(values) - known)
            if unknown:
                raise LesionliteError(f"unknown fields {', '.join(unknown)}")
            for name in ("labels", "mean", "std"):
                if name in values:
                    values[name] = tuple(values[name])
            return cls(**values)
        except (ValueError, TypeError, AttributeError, LesionliteError) as error:
            raise LesionliteError(f"{source} holds no usable contract: {error}") from error

    @classmethod
    def read(cls, path: Path) -> "Contract":
        """Read `path`; LesionliteError if it is missing or no contract."""
        try:
            return cls.from_json(path.read_text(encoding="utf-8"), str(path))
        except FileNotFoundError:
            raise LesionliteError(f"there is no contract at {path}") from None
