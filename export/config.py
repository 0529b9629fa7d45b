"""The settings of an export."""

from dataclasses import dataclass
from unicodedata import category

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.export.format import Format
from lesionlite.export.formats import FORMATS, find_format
from lesionlite.export.metadata import Metadata, describe
from lesionlite.export.precision import INTEGERS, PRECISIONS, find_precision
from lesionlite.settings import MAX_SEED, SEED, refuse_settings, refuse_types

RULES = ("mse", "percentile", "min-max")  # the names in `RANGE_RULES` of quantize/ranges.py


# All calibration images are in memory, and more images do not make a better plan.
MOST_IMAGES, MOST_STEPS, MOST_NATS, MOST_WORDS = 10_000, 100_000, 100, 10_000
MOST_JOBS = 64
TEXT = "at most {} characters, without NUL and without surrogates, which UTF-8 cannot encode"

BY_DEFAULT = tuple(name for name, precision in PRECISIONS.items() if precision.by_default)
FORMATS_BY_DEFAULT = tuple(name for name, row in FORMATS.items() if row.by_default)

RARE_FLAGS = {  # `--help` shows these after the common flags, in groups
    "8-bit quantization": (
        *("calibration", "calibration_seed", "ranges", "divergence", "tuning_steps", "int8_share"),
    ),
    "speed": ("jobs",),
    "description in every file": ("author", "license", "description", "model_version"),
}


@dataclass(frozen=True)
class ExportConfig:
    """Which files to write, and what they say about themselves."""

    formats: tuple[str, ...] = FORMATS_BY_DEFAULT
    """Formats to write, by name. There is also coreai: Core AI, for iOS 27."""
    precisions: tuple[str, ...] = BY_DEFAULT
    """Precisions to write, in each format that has them. There is also w8a8-int, for NPUs that
    compute no floats."""
    calibration: int = 300
    """How many training images set the ranges of w8a8, and the weights of w8a8, w8, w6 and w4."""
    calibration_seed: int = 0
    """Seed of the choice of calibration images."""
    ranges: str = "mse"
    """How w8a8 chooses a tensor's range: mse, percentile or min-max."""
    divergence: float = 0.001
    """Largest Kullback-Leibler divergence, in nats, of w8a8 from the float network on the
    calibration images. Layers return to float until w8a8 is below it."""
    tuning_steps: int = 120
    """Steps of gradient descent on the scales and biases of w8a8, or three times as many if it
    still diverges too much; 0 leaves them as measured."""
    int8_share: float = 0.5
    """Smallest share of the multiply-adds that w8a8 computes in 8-bit integers. Shares under 0.9
    are for networks that tuning alone does not mend."""
    author: str = ""
    """Who made the model. This and the next three are written into every file."""
    license: str = ""
    """The model's license, by name or address."""
    description: str = ""
    """What the model is. The disclaimer of the training data is added if it is missing."""
    model_version: str = ""
    """Your version number of the model."""
    jobs: int = 0
    """How many processes convert files at once; 0: as many as there are cores, and 3 GB of memory
    for each. The files are the same."""

    def __post_init__(self) -> None:
        """Refuse unknown names, numbers out of range, and a selection that makes no files.

        Raises:
            LesionliteError: names the setting, its value, and the values it may have.
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
            ("jobs", 0 <= self.jobs <= MOST_JOBS, f"from 0 to {MOST_JOBS}"),
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
            if idle and asked not in (FORMATS_BY_DEFAULT, BY_DEFAULT):
                have = "; ".join(f"{f} has {', '.join(FORMATS[f].precisions)}" for f in FORMATS)
                raise LesionliteError(f"nothing to make for {what} {', '.join(idle)}: {have}")
        if not pairs:
            raise LesionliteError("nothing to make: name at least one format and one precision")

    def pairs(self) -> list[tuple[Format, str]]:
        """The format and the precision of each file to write."""
        return [
            (FORMATS[name], precision)
            for name in self.formats
            for precision in FORMATS[name].precisions
            if precision in self.precisions
        ]

    def metadata(self, contract: Contract) -> Metadata:
        """The description that is written into every file."""
        words = describe(self.description, contract)
        return Metadata(words, self.author, self.license, self.model_version)

    def has_integers(self) -> bool:
        """Whether any of the files is w8a8-int, which has a plan of its own."""
        return any(precision == INTEGERS for _, precision in self.pairs())

    def calibrates(self, has_data: bool) -> bool:
        """Whether any of the files needs calibration images, or is better with those there are.

        Args:
            has_data: whether there is a data folder.
        """
        return any(PRECISIONS[precision].calibrates(has_data) for _, precision in self.pairs())

    def plans(self) -> bool:
        """Whether any of the files follows a quantization plan."""
        return any(PRECISIONS[precision].calibrated for _, precision in self.pairs())


def _is_writable(text: str) -> bool:
    """Whether every format can store the text: all use UTF-8, and some end a text at NUL."""
    return len(text) <= MOST_WORDS and not any(c == "\0" or category(c) == "Cs" for c in text)
