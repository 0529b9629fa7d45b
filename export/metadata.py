"""The model's description, for the standard metadata fields of each format."""

from dataclasses import asdict, dataclass

DISCLAIMER = "Not a medical device: no output of it is a diagnosis."
INPUT = "8-bit RGB image, resized and cropped as the contract says."
LABEL = "The likeliest class."
PROBABILITIES = "Probability of each class, in the order of the contract's labels."


@dataclass(frozen=True)
class Metadata:
    """Facts about the user's model; empty if the user gave none.

    Attributes:
        description: what the model is and what it is not.
        author: who made it.
        license: its name or address.
        version: the author's own version number.
    """

    description: str = DISCLAIMER
    author: str = ""
    license: str = ""
    version: str = ""

    def given(self) -> dict[str, str]:
        """The facts that are not empty, by name."""
        return {name: value for name, value in asdict(self).items() if value}


def describe(description: str, classes: int, note: str) -> str:
    """A description that always holds the disclaimer and the note on the training images.

    Args:
        description: the user's words; if empty, a neutral sentence replaces them.
        classes: number of classes.
        note: the contract's note.
    """
    words = [description.strip() or f"Image classifier of {classes} classes."]
    if note:
        words.append(f"Trained on {note}.")
    if "not a medical device" not in description.lower():
        words.append(DISCLAIMER)
    return " ".join(words)
