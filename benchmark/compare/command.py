"""`lesionlite compare`."""

from dataclasses import dataclass, field
from pathlib import Path

from tyro.conf import OmitArgPrefixes, Positional

from lesionlite.benchmark.compare.config import RARE_FLAGS, CompareConfig
from lesionlite.command import Json, Outcome
from lesionlite.console import say
from lesionlite.errors import LesionliteError
from lesionlite.settings import flag
from lesionlite.train.commands import TrainingFlags, no_flags, training_of
from lesionlite.train.config import RARE_FLAGS as RARE_TRAINING_FLAGS
from lesionlite.train.config import TrainConfig


@dataclass(frozen=True)
class Compare:
    """Compare networks, or values of one setting: scores over seeds, latency and size of files.

    Trains each the same way, exports and judges the best training of each, times all files
    together, and writes one page that recommends. Interrupted, the same command goes on. Exits with
    1 if anything does not pass.
    """

    RARE_FLAGS = RARE_FLAGS | RARE_TRAINING_FLAGS

    data: Positional[Path]
    """Data folder with train/ and val/; test/ is scored, too, but chooses nothing."""
    comparing: OmitArgPrefixes[CompareConfig]
    out: Path = Path("dist/compare")
    """Folder for the runs, the files and the page."""
    training_flags: TrainingFlags = field(default_factory=no_flags)
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse flags that the comparison sets itself.

        Raises:
            LesionliteError: It names the flag.
        """
        name = self.comparing.setting()[0]
        for given, value in self.training_flags.items():
            if isinstance(value, bool):
                continue  # switches are always there
            if given == "seed":
                raise LesionliteError("--seed is set by --seeds, which trains with 0, 1, 2, ...")
            if given.replace("_", "-") == name:
                how = "--models names" if self.comparing.models else f"--vary {name} changes"
                raise LesionliteError(f"{flag(given)} {value}: {how} it; leave {flag(given)} out")

    @property
    def training(self) -> TrainConfig:
        """The settings that all trainings share."""
        return training_of(self.training_flags)

    def run(self) -> Outcome:
        """Compare, and show the page."""
        from lesionlite.benchmark.compare.page import HTML, PAGES, show
        from lesionlite.benchmark.compare.run import compare

        document = compare(self.data, self.out, self.comparing, self.training)
        show(document)
        others = [
            Path(name).suffix for name in PAGES if name != HTML and (self.out / name).exists()
        ]
        say(f"page: {self.out / HTML} (and {', '.join(others)})")
        name = document["setting"]
        say(f"next: lesionlite build {self.data} --{name} VALUE --out dist/skin")
        return document, 1 if document["failures"] else 0
