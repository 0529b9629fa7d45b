"""The precisions: how many bits weights and activations have, and what each may cost.

There is no "int8", because that word does not say whether activations are quantized too.
"""

from dataclasses import dataclass

from lesionlite.errors import LesionliteError, unknown_choice


@dataclass(frozen=True)
class Precision:
    """One precision.

    Attributes:
        name: the word for it on the command line and in file names.
        summary: one line for `--help` and reports.
        weight_bits: bits of a stored weight.
        calibrated: whether activations are quantized too, with ranges from calibration images.
        max_f1_loss: largest loss of weighted F1 that the gate tolerates by default.
        min_agreement: smallest share of images with PyTorch's answer, by default.
        max_mean_dp: largest mean, over the images, of an image's largest |difference of
            probability|, by default. It catches changes of confidence that change no answer.
        by_default: whether `export` writes it without being asked.
        learned: whether calibration images decide how weights are rounded.
        improved: whether they do so if there are any.
    """

    name: str
    summary: str
    weight_bits: int
    calibrated: bool
    max_f1_loss: float
    min_agreement: float
    max_mean_dp: float
    by_default: bool = True
    learned: bool = False
    improved: bool = False

    @property
    def needs_images(self) -> bool:
        """Whether it needs calibration images."""
        return self.calibrated or self.learned

    def calibrates(self, has_images: bool) -> bool:
        """Whether calibration images shape its numbers; else they are the network's own.

        Args:
            has_images: whether there are any.
        """
        return self.needs_images or (self.improved and has_images)

    @property
    def tolerance(self) -> float:
        """The largest difference of a probability between two devices that execute the same file.

        An app's self-check allows it, because phones may compute float files in half precision
        and integer kernels round in different ways.
        """
        return 0.1 if self.calibrated else 0.02


INTEGERS = "w8a8-int"
PRECISIONS = {
    precision.name: precision
    for precision in (
        Precision("fp32", "weights and arithmetic in 32-bit float", 32, False, 0.002, 0.999, 0.001),
        Precision("fp16", "weights in 16-bit float", 16, False, 0.002, 0.995, 0.005),
        Precision(
            "w8",
            "weights in 8-bit integers, float arithmetic",
            *(8, False, 0.01, 0.98, 0.01),
            improved=True,
        ),
        Precision(
            "w6",
            "weights as 6-bit indices, float arithmetic",
            *(6, False, 0.01, 0.9, 0.02),
            learned=True,
        ),
        Precision(
            "w4",
            "weights as 4-bit indices, float arithmetic",
            *(4, False, 0.01, 0.9, 0.05),
            learned=True,
        ),
        Precision("w8a8", "weights and activations in 8-bit integers", 8, True, 0.01, 0.97, 0.03),
        Precision(
            INTEGERS,
            "w8a8 without any float: the rest in 16-bit integers, for NPUs without floats",
            *(8, True, 0.01, 0.97, 0.03),
            by_default=False,
        ),
    )
}


def find_precision(name: str) -> Precision:
    """The precision called `name`.

    Raises:
        LesionliteError: there is none; the error lists the precisions.
    """
    if name == "int8":
        raise LesionliteError(
            "'int8' does not say what is quantized: choose w8 (weights) or w8a8 (weights and "
            "activations)"
        )
    if name not in PRECISIONS:
        raise unknown_choice("precision", name, PRECISIONS)
    return PRECISIONS[name]
