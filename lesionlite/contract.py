"""The contract: one record of a model's input and output, for training, export and apps.

It is saved as `contract.json` beside a checkpoint, embedded in every artifact, and copied into
every app. It is the only place where these facts are kept. Only the standard library is used, so
that any program can read a contract.
"""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints
from unicodedata import category

from lesionlite.documents import Mismatch, parse_json, read_json, structure
from lesionlite.errors import LesionliteError
from lesionlite.rejection import STATISTICS, Rejection

VERSION = 1
# Of data that `prepare` and the demo make. Contracts without the field are older than it, and all
# came with this sentence.
MEDICAL = "Not a medical device: no output of it is a diagnosis."
NOT_IN_A_LINE = {"Cc", "Cs", "Zl", "Zp"}  # Unicode's controls, surrogates, separators
# Pixels. Networks halve the side five times; larger sides do not fit a phone's memory.
MIN_SIDE, MAX_SIDE, MAX_RESIZE_SIDE = 32, 1024, 4096


@dataclass(frozen=True)
class Contract:
    """How an image becomes a network's input, and what its outputs are called.

    An app decodes the image (turned upright by its EXIF orientation), resizes and crops it to an
    8-bit RGB square of `side` pixels, and hands that to the artifact; everything after that
    (normalization, temperature, logit adjustment, softmax) is inside the artifact.

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
        logit_adjustment: what is then added to each logit, to answer for classes that are as
            frequent as the user's and not as training's (Menon et al. 2021, arXiv 2007.07314, eq.
            9); empty for zeros.
        prior: share of each class in what training saw, its weight in the loss included; empty if
            that is not known.
        unsure_below: where the largest probability is below it, an app says "not sure".
        rejection: tells images of another kind; None if nothing does.
        note: a caveat that every result repeats, e.g. that the images are drawn.
        disclaimer: a sentence that every file, report and app shows, e.g. that this is no medical
            device.
        version: of this record's format.
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
    logit_adjustment: tuple[float, ...] = ()
    prior: tuple[float, ...] = ()
    unsure_below: float = 0.0
    rejection: Rejection | None = None
    note: str = ""
    disclaimer: str = ""
    version: int = VERSION

    def __post_init__(self) -> None:
        """Refuse what no artifact could honour.

        Raises:
            LesionliteError: naming the field, its value, and what it may be.
        """
        problem = self._wrong_type()
        if not problem and not self.resize_side:
            object.__setattr__(self, "resize_side", self.side)
        problem = problem or self._problem()
        if problem:
            raise LesionliteError(f"the contract is not valid: {problem}")

    def _wrong_type(self) -> str | None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            try:
                value = structure(getattr(self, field.name), hints[field.name], field.name)
            except Mismatch as error:
                return str(error)
            object.__setattr__(self, field.name, value)  # a list of JSON becomes a tuple
        return None

    def _problem(self) -> str | None:
        if self.version != VERSION:
            return (
                f"version is {self.version}, this lesionlite reads version {VERSION}; use the "
                "lesionlite that wrote it, or a newer one"
            )
        if len(self.labels) < 2:
            return f"a classifier needs at least 2 labels, not {len(self.labels)}"
        if len(set(self.labels)) != len(self.labels) or not all(self.labels):
            return "labels must be unique and not empty"
        unfit = [label for label in self.labels if set(map(category, label)) & NOT_IN_A_LINE]
        if unfit:  # labels.txt, and every app's list, has a label a line
            return f"label {unfit[0]!r} holds characters that do not fit into a line of text"
        if not MIN_SIDE <= self.side <= MAX_SIDE:
            return f"side is {self.side}, it must be from {MIN_SIDE} to {MAX_SIDE}"
        if not self.side <= self.resize_side <= MAX_RESIZE_SIDE:
            return (
                f"resize_side is {self.resize_side}, it must be from side ({self.side}) to "
                f"{MAX_RESIZE_SIDE}"
            )
        if self.resize == "squash" and self.resize_side != self.side:
            return "resize_side differs from side, which only resize 'shortest' allows"
        if min(self.std) <= 0:
            return f"std is {', '.join(map(str, self.std))}, each must be above zero"
        if self.temperature <= 0:
            return f"temperature is {self.temperature}, it must be above zero"
        for name in ("logit_adjustment", "prior"):
            if len(values := getattr(self, name)) not in (0, len(self.labels)):
                return f"{name} has {len(values)} of {len(self.labels)} numbers, one for each label"
        if self.prior and (min(self.prior) < 0 or abs(sum(self.prior) - 1) > 1e-3):
            return "prior holds shares, which must be 0 or more and add up to 1"
        if not 0 <= self.unsure_below < 1:
            return f"unsure_below is {self.unsure_below}, it must be from 0 up to, not including, 1"
        size = len(self.labels) + STATISTICS
        if self.rejection is not None and len(self.rejection.whitening) != size:
            return (
                f"rejection.whitening has {len(self.rejection.whitening)} rows, it must have "
                f"{size}: one for each label, and {STATISTICS}"
            )
        return None

    def to_json(self) -> str:
        """The record as a JSON document, keys in a fixed order, each list of numbers in a line."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        return re.sub(r"\[\n\s+([-+.\de,\s]+?)\n\s+\]", _in_a_line, text) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "contract.json") -> "Contract":
        """Read a contract from JSON text.

        Args:
            text: what `to_json` wrote.
            source: where the text came from, named in errors.

        Raises:
            LesionliteError: if the text is no contract, or one that is not valid.
        """
        return cls._from_document(lambda: parse_json(text, "its text"), source)

    @classmethod
    def read(cls, path: Path) -> "Contract":
        """Read `path`; LesionliteError if it is missing or no contract."""
        document = read_json(path)
        if document is None:
            raise LesionliteError(f"there is no contract at {path}")
        return cls._from_document(lambda: document, str(path))

    @classmethod
    def _from_document(cls, read: Callable[[], Any], source: str) -> "Contract":
        try:
            document = read()
            if isinstance(document, dict):
                document = {"disclaimer": MEDICAL, **document}
            contract: Contract = structure(document, cls)
            return contract
        except (Mismatch, LesionliteError) as error:
            raise LesionliteError(f"{source} holds no usable contract: {error}") from error


def _in_a_line(numbers: re.Match[str]) -> str:
    return "[" + " ".join(numbers[1].split()) + "]"
