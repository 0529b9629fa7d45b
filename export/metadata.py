"""The model's description, for the standard metadata fields of each format."""

from dataclasses import asdict, dataclass

from lesionlite.contract import Contract

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

    description: str = ""
    author: str = ""
    license: str = ""
    version: str = ""

    def given(self) -> dict[str, str]:
        """The facts that are not empty, by name."""
        return {name: value for name, value in asdict(self).items() if value}


def describe(description: str, contract: Contract) -> str:
    """A description that always holds the contract's disclaimer and its note on the images.

    Args:
        description: the user's words; if empty, a neutral sentence replaces them.
        contract: of the model.
    """
    words = [description.strip() or f"Image classifier of {len(contract.labels)} classes."]
    if contract.note:
        words.append(f"Trained on {contract.note}.")
    said = contract.disclaimer.partition(":")[0].lower()  # its first words, if the user said them
    if said and said not in description.lower():
        words.append(contract.disclaimer)
    return " ".join(words)
