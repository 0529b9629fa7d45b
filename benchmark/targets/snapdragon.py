"""The table of Snapdragons. A new one is a row here."""

from dataclasses import dataclass

from lesionlite.errors import unknown_choice


@dataclass(frozen=True)
class Snapdragon:
    """One row of the table.

    Attributes:
        name: Qualcomm's part number, in lower case.
        title: Its name in shops.
        model: Its number in Qualcomm's AI Runtime SDK (QAIRT 2.47, table of supported devices).
        floats: Whether its NPU computes floats.
    """

    name: str
    title: str
    model: int
    floats: bool = True

    @property
    def hint(self) -> str:
        """What to do about a file that its NPU refuses."""
        return "" if self.floats else "this NPU computes no floats; make w8a8-int files for it"


_ROWS = (
    Snapdragon("sm8850", "Snapdragon 8 Elite Gen 5", 87),
    Snapdragon("sm8750", "Snapdragon 8 Elite", 69),
    Snapdragon("sm8650", "Snapdragon 8 Gen 3", 57),
    Snapdragon("sm8550", "Snapdragon 8 Gen 2", 43),
    Snapdragon("sm8450", "Snapdragon 8 Gen 1", 36),
    Snapdragon("sm8350", "Snapdragon 888", 30, floats=False),
    Snapdragon("sm7550", "Snapdragon 7 Gen 3", 64, floats=False),
    Snapdragon("sm6650", "Snapdragon 6 Gen 4", 74, floats=False),
)
SNAPDRAGONS = {row.name: row for row in _ROWS}


def find_snapdragon(name: str) -> Snapdragon:
    """The Snapdragon called `name`.

    Raises:
        LesionliteError: There is none; the error lists the names.
    """
    if name not in SNAPDRAGONS:
        raise unknown_choice("Snapdragon", name, SNAPDRAGONS)
    return SNAPDRAGONS[name]
