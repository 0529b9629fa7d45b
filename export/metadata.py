"""What a file says about itself in its format's own standard fields, for tools and app stores."""

from dataclasses import asdict, dataclass

DISCLAIMER = "Not a medical device: no output of it is a diagnosis."
INPUT = "8-bit RGB image, resized and cropped as the contract says."
LABEL = "The likeliest class."
PROBABILITIES = "Probability of each class, in the order of the contract's labels."


@dataclass(frozen=True)
class Metadata:
    """Facts of the user's model; empty where the user gave none.

    Attributes:
        description: what it is and what it is not.
        author: who made it.
        license: under which terms.
        version: of the model, in the author's own counting.
    """

    description: str = DISCLAIMER
    author: str = ""
    license: str = ""
    version: str = ""

    def given(self) -> dict[str, str]:
        """The facts that are not empty, by name."""
        return {name: value for name, value in asdict(self).items() if value}


def describe(description: str, classes: int, note: str) -> str:
    """A description that never lacks the disclaimer, nor the note on the training images.

    Args:
        description: the user's words; empty for neutral ones.
        classes: number of classes.
        note: the contract's note.
    """
    words = [description.strip() or f"Image classifier of {classes} classes."]
    if note:
        words.append(f"Trained on {note}.")
    if "not a medical device" not in description.lower():
        words.append(DISCLAIMER)
    return " ".join(words)
