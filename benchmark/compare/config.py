"""The settings of `compare`."""

from dataclasses import dataclass

from lesionlite.benchmark.config import MOST_SECONDS, BenchmarkConfig
from lesionlite.errors import LesionliteError
from lesionlite.export.config import FORMATS_BY_DEFAULT, ExportConfig
from lesionlite.settings import MAX_THREADS, THREADS, are_threads, refuse_settings, refuse_types

PRECISIONS = ("fp32", "w8a8")

RARE_FLAGS = {"files": ("formats", "precisions", "threads", "seconds")}


@dataclass(frozen=True)
class CompareConfig:
    """What to compare, and how."""

    models: tuple[str, ...] = ()
    """Networks to compare, by timm's names."""
    vary: str = ""
    """Another setting to compare, e.g. imbalance, ema or side."""
    values: tuple[str, ...] = ()
    """Values of the setting that --vary names."""
    seeds: int = 3
    """Number of trainings of each, with seeds 0, 1, 2, ..."""
    jobs: int = 1
    """Number of trainings at a time; they share the cores."""
    files: bool = True
    """Train and score only: make no files, and time nothing."""
    formats: tuple[str, ...] = FORMATS_BY_DEFAULT
    """Formats to make of the best training of each."""
    precisions: tuple[str, ...] = PRECISIONS
    """Precisions to make of it."""
    threads: int = 2
    """Threads that each runtime may use."""
    seconds: float = 3.0
    """Least time spent on timed queries per file."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            LesionliteError: It names the flag, its value, and what it may be.
        """
        refuse_types(self)
        rules = (
            ("seeds", 1 <= self.seeds <= 10_000, "from 1 to 10000"),
            ("jobs", are_threads(self.jobs), THREADS),
            ("threads", 1 <= self.threads <= MAX_THREADS, f"from 1 to {MAX_THREADS}"),
            ("seconds", 0 <= self.seconds <= MOST_SECONDS, f"from 0 to {MOST_SECONDS}"),
        )
        refuse_settings(self, rules)
        if bool(self.models) == bool(self.vary):
            raise LesionliteError(
                "name what to compare: --models A B C, or --vary SETTING --values A B C"
                + ("; not both" if self.models else "")
            )
        if self.vary and not self.values:
            raise LesionliteError(f"--vary {self.vary} needs --values A B C")
        if self.models and self.values:
            raise LesionliteError("--values belongs to --vary; --models names the networks itself")
        if self.files:
            self.exporting()

    def setting(self) -> tuple[str, tuple[str, ...]]:
        """The setting that varies, spelled as its flag is, and its values."""
        if self.models:
            return "model", self.models
        return self.vary.replace("_", "-"), self.values

    def exporting(self) -> ExportConfig:
        """Which files to make of each."""
        return ExportConfig(formats=self.formats, precisions=self.precisions)

    def benchmarking(self) -> BenchmarkConfig:
        """How to judge them. They are timed later, all together."""
        return BenchmarkConfig(threads=self.threads, queries=1, seconds=0.0)
