"""What an export is told, as one frozen record."""

from dataclasses import dataclass
from unicodedata import category

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.export.formats import FORMATS, Format, find_format
from lesionlite.export.metadata import Metadata, describe
from lesionlite.export.precision import PRECISIONS, find_precision
from lesionlite.settings import MAX_SEED, SEED, refuse_settings, refuse_types

RULES = ("mse", "percentile", "min-max")  # the names in `CHOOSERS` of quantize/ranges.py


# More calibration images than that no plan becomes better by, and all are held in memory.
MOST_IMAGES, MOST_STEPS, MOST_NATS, MOST_WORDS = 10_000, 100_000, 100, 10_000
TEXT = "at most {} characters, all of which UTF-8 can write, and none of them NUL"


@dataclass(frozen=True)
class ExportConfig:
    """Which files to make, and what they say about themselves."""

    formats: tuple[str, ...] = tuple(FORMATS)
    """Which formats to make: torchscript, onnx, tflite, coreml, executorch."""
    precisions: tuple[str, ...] = tuple(PRECISIONS)
    """Which precisions to make: fp32, fp16, w8, w8a8, w6, w4; each format makes the ones it has."""
    calibration: int = 300
    """Training images that set the ranges of w8a8."""
    calibration_seed: int = 0
    """Seed of the choice of calibration images."""
    ranges: str = "mse"
    """How w8a8 chooses where a tensor's grid ends: mse, percentile or min-max."""
    divergence: float = 0.001
    """How far, in nats of Kullback-Leibler divergence on the calibration images, w8a8 may stray
    from the float network; layers return to float until it holds."""
    tuning_steps: int = 240
    """Steps of gradient descent on the grids and biases of w8a8; 0 leaves them as measured."""
    int8_share: float = 0.9
    """Least share of the multiply-adds that w8a8 keeps in 8-bit integers."""
    author: str = ""
    """Who made the model; written into every file, as are the next three."""
    license: str = ""
    """Terms of the model, by name or address."""
    description: str = ""
    """What the model is; "Not a medical device" is added unless it says so itself."""
    model_version: str = ""
    """Version of the model in your own counting."""

    def __post_init__(self) -> None:
        """Refuse unknown names and empty selections.

        Raises:
            LesionliteError: listing the right names.
        """
        refuse_types(self)
        for name in self.formats:
            find_format(name)
        for name in self.precisions:
            find_precision(name)
        if self.ranges not in RULES:
            raise unknown_choice("rule for ranges", self.ranges, RULES)
        most = MOST_IMAGES, MOST_STEPS, MOST_NATS, MOST_WORDS
        images, steps, nats, letters = (f"{number:,}" for number in most)
        texts = ("author", "license", "description", "model_version")
        rules = (
            ("calibration", 1 <= self.calibration <= MOST_IMAGES, f"from 1 to {images}"),
            ("calibration_seed", 0 <= self.calibration_seed <= MAX_SEED, SEED),
            ("int8_share", 0 <= self.int8_share <= 1, "from 0 to 1"),
            ("tuning_steps", 0 <= self.tuning_steps <= MOST_STEPS, f"from 0 to {steps}"),
            ("divergence", 0 <= self.divergence <= MOST_NATS, f"from 0 to {nats}"),
            *((name, _is_writable(getattr(self, name)), TEXT.format(letters)) for name in texts),
        )
        refuse_settings(self, rules)
        pairs = self.pairs()
        for what, asked, made in (
            ("format", self.formats, {row.name for row, _ in pairs}),
            ("precision", self.precisions, {precision for _, precision in pairs}),
        ):
            idle = [name for name in asked if name not in made]
            if idle and asked not in (tuple(FORMATS), tuple(PRECISIONS)):
                have = "; ".join(f"{f} has {', '.join(FORMATS[f].precisions)}" for f in FORMATS)
                raise LesionliteError(f"nothing to make for {what} {', '.join(idle)}: {have}")
        if not pairs:
            raise LesionliteError("nothing to make: name at least one format and one precision")

    def pairs(self) -> list[tuple[Format, str]]:
        """The files to make, as rows of the table and names of precisions."""
        return [
            (FORMATS[name], precision)
            for name in self.formats
            for precision in FORMATS[name].precisions
            if precision in self.precisions
        ]

    def metadata(self, contract: Contract) -> Metadata:
        """What every file says about itself."""
        words = describe(self.description, len(contract.labels), contract.note)
        return Metadata(words, self.author, self.license, self.model_version)

    def calibrates(self) -> bool:
        """Whether any of the files needs calibration images."""
        return any(PRECISIONS[precision].calibrated for _, precision in self.pairs())


def _is_writable(text: str) -> bool:
    """Whether every format can hold the text: strings there are UTF-8, and C's end at NUL."""
    return len(text) <= MOST_WORDS and not any(c == "\0" or category(c) == "Cs" for c in text)
