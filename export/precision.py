"""What is stored and computed in how many bits: named, frozen recipes. Never a bare "int8"."""

from dataclasses import dataclass

from lesionlite.errors import LesionliteError, unknown_choice


@dataclass(frozen=True)
class Precision:
    """A named recipe.

    Attributes:
        name: as users write it and as files are called.
        summary: one line for `--help` and reports.
        weight_bits: bits of a stored weight.
        calibrated: activations are quantized too, with ranges taken from calibration images.
        max_f1_loss: default tolerance of the gate, in weighted F1.
        min_agreement: default share of PyTorch's answers that must stay.
        max_mean_dp: default tolerance of the largest |difference of probability| of an image, mean
            over the images: what changes no answer, but every confidence, exceeds it.
    """

    name: str
    summary: str
    weight_bits: int
    calibrated: bool
    max_f1_loss: float
    min_agreement: float
    max_mean_dp: float

    @property
    def tolerance(self) -> float:
        """By how much a probability may differ between two devices that execute the same file.

        For an app's check of itself: phones compute float files in half precision, too, and integer
        kernels round in different ways.
        """
        return 0.1 if self.calibrated else 0.02


PRECISIONS = {
    precision.name: precision
    for precision in (
        Precision("fp32", "weights and arithmetic in 32-bit float", 32, False, 0.002, 0.999, 0.001),
        Precision("fp16", "weights in 16-bit float", 16, False, 0.002, 0.995, 0.005),
        Precision("w8", "weights in 8-bit integers, float arithmetic", 8, False, 0.01, 0.98, 0.01),
        Precision("w6", "weights as 6-bit indices, float arithmetic", 6, False, 0.01, 0.9, 0.02),
        Precision("w4", "weights as 4-bit indices, float arithmetic", 4, False, 0.01, 0.9, 0.05),
        Precision("w8a8", "weights and activations in 8-bit integers", 8, True, 0.01, 0.97, 0.03),
    )
}


def find_precision(name: str) -> Precision:
    """The recipe called `name`; LesionliteError that lists them all if there is none."""
    if name == "int8":
        raise LesionliteError(
            "'int8' does not say what is quantized: choose w8 (weights) or w8a8 (weights and "
            "activations)"
        )
    if name not in PRECISIONS:
        raise unknown_choice("precision", name, PRECISIONS)
    return PRECISIONS[name]
