"""What a benchmark is told, as one frozen record."""

from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg

from lesionlite.errors import LesionliteError
from lesionlite.export.precision import PRECISIONS
from lesionlite.settings import MAX_THREADS, refuse_settings, refuse_types

# What is larger is a slip of the keyboard: it would hang, or use up the machine.
MOST_SECONDS, MOST_QUERIES, MOST_IMAGES = 3600, 1_000_000, 1_000_000
GATES = ("max_f1_loss", "min_agreement", "max_mean_dp")


def defaults_by_precision(tolerance: str) -> str:
    """The defaults of a gate, such as "0.002 for fp32, fp16; 0.01 for w8".

    Args:
        tolerance: Field of `Precision`.
    """
    names: dict[float, list[str]] = {}
    for name, precision in PRECISIONS.items():
        names.setdefault(getattr(precision, tolerance), []).append(name)
    return "; ".join(f"{value:g} for {', '.join(found)}" for value, found in names.items())


def _help(effect: str, tolerance: str) -> Any:
    """The help of a gate's flag: its effect, and its defaults as the code has them."""
    return arg(help=f"{effect}, for every precision (default: {defaults_by_precision(tolerance)}).")


@dataclass(frozen=True)
class BenchmarkConfig:
    """How to judge artifacts."""

    allow_unverified: tuple[str, ...] = ()
    """Artifacts that may stay unverified without failing the gate, by file name."""
    threads: int = 2
    """Threads each runtime may use."""
    queries: int = 128
    """Fewest timed queries per artifact."""
    seconds: float = 10.0
    """Least time spent on timed queries per artifact."""
    submission: bool = False
    """As MLPerf Mobile has it: at least 1024 queries and 60 seconds per artifact."""
    sweep: tuple[int, ...] = ()
    """Other numbers of threads to time everything with, too, e.g. 1 4."""
    runtimes: bool = False
    """Execute the files with other runtimes, too: TFLite with TensorFlow's interpreter, MediaPipe
    and LiteRT without XNNPACK, ONNX with one thread and with nothing fused. Needs
    tensorflow and mediapipe (the extra `runtimes`)."""
    coreml_runtime: Literal["auto", "native", "reference", "both"] = "auto"
    """What executes Core ML files: Core ML itself or lesionlite's own executor, or the one judged
    and compared with the other; auto: Core ML where it is (macOS), else the executor."""
    resize_drift: bool = False
    """Measure, too, what other ways to resize an image cost; takes seven times as long."""
    arm: tuple[str, ...] = ()
    """Arm cores to execute TFLite and ONNX files on, too, under emulation, e.g. cortex-a76 (has
    dot-product instructions), cortex-a72 (has none); `lesionlite armroot` comes first."""
    arm_images: int = 56
    """How many of the test images to execute there, evenly over the classes."""
    android: Path | None = None
    """LiteRT's benchmark_model binary for android-arm64: time the TFLite files with it on the phone
    that adb reaches, too."""
    max_f1_loss: Annotated[float | None, _help("Largest loss of weighted F1", "max_f1_loss")] = None
    min_agreement: Annotated[
        float | None, _help("Smallest share of PyTorch's answers that must stay", "min_agreement")
    ] = None
    max_mean_dp: Annotated[
        float | None,
        _help(
            "Largest mean |Δp|: each image counts with its largest change of a probability",
            "max_mean_dp",
        ),
    ] = None
    gate: Literal["point", "interval"] = "point"
    """What may not fall by more than is tolerated: weighted F1 on these images, or the lower end
    of its change's 95 % interval, so that it does not on other images of their kind either."""
    min_recall: tuple[str, ...] = ()
    """LABEL=CHANGE: least change of a class's recall, e.g. Melanoma=-0.01."""
    strict: bool = False
    """Refuse too few test images, before the work: so few that one changed answer is more than the
    gate allows. Without it the report says so."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            LesionliteError: naming the setting, its value, and what it may be.
        """
        refuse_types(self)
        rules = (
            ("threads", *_within(self.threads, 1, MAX_THREADS)),
            ("queries", *_within(self.queries, 1, MOST_QUERIES)),
            ("seconds", *_within(self.seconds, 0, MOST_SECONDS)),
            ("arm_images", *_within(self.arm_images, 1, MOST_IMAGES)),
            ("sweep", *_all_within(self.sweep, 1, MAX_THREADS)),
            *((name, *_share(getattr(self, name))) for name in GATES),
        )
        refuse_settings(self, rules)
        self.recall_gates()

    def protocol(self) -> tuple[int, float]:
        """Fewest queries and least seconds per artifact."""
        least = (1024, 60.0) if self.submission else (1, 0.0)
        return max(self.queries, least[0]), max(self.seconds, least[1])

    def recall_gates(self) -> dict[str, float]:
        """`min_recall` as label: change.

        Raises:
            LesionliteError: naming the entry that is none.
        """
        gates: dict[str, float] = {}
        for entry in self.min_recall:
            label, _, change = entry.rpartition("=")
            if label in gates:
                raise LesionliteError(f"--min-recall names {label} twice")
            try:
                gates[label] = float(change)
            except ValueError:
                gates[label] = nan
            if not label or not -1 <= gates[label] <= 1:
                raise LesionliteError(
                    "--min-recall takes LABEL=CHANGE with a change from -1 to 1, e.g. "
                    f"Melanoma=-0.01, not {entry!r}"
                )
        return gates


@dataclass(frozen=True)
class RegressionConfig:
    """What may not become worse than in an older report."""

    against: Path | None = None
    """An older report.json to compare with; whatever became worse makes the exit code 1."""
    max_slowdown: float = 1.2
    """Tolerated ratio of median latencies, each first divided by PyTorch's of its own run."""
    max_growth: float = 1.05
    """Tolerated ratio of file sizes."""
    max_f1_drop: float = 0.002
    """Tolerated fall of an artifact's weighted F1; only judged on as many images of each class."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            LesionliteError: naming the setting, its value, and what it may be.
        """
        refuse_types(self)
        rules = (
            ("max_slowdown", self.max_slowdown >= 1, "1 or more"),
            ("max_growth", self.max_growth >= 1, "1 or more"),
            ("max_f1_drop", *_share(self.max_f1_drop)),
        )
        refuse_settings(self, rules)


@dataclass(frozen=True)
class PeersConfig:
    """How to compare artifacts with the toolchains' defaults."""

    threads: tuple[int, ...] = (1, 2)
    """Threads that each runtime may use; everything is measured once for each number."""
    seconds: float = 6.0
    """Time spent on each file's queries, for each number of threads."""
    bursts: int = 12
    """Turns that this time is spent in; the spread of a ratio is that over the turns."""
    calibration: int = 32
    """Calibration images that the 8-bit defaults see, out of those that ours saw."""
    formats: tuple[str, ...] = ()
    """Formats to compare; by default those of the artifacts."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            LesionliteError: naming the setting, its value, and what it may be.
        """
        refuse_types(self)
        rules = (
            ("threads", bool(self.threads), "one number or more"),
            ("threads", *_all_within(self.threads, 1, MAX_THREADS)),
            ("seconds", 0 < self.seconds <= MOST_SECONDS, f"above 0, at most {MOST_SECONDS}"),
            ("bursts", *_within(self.bursts, 2, 10_000)),  # of one there is no spread
            ("calibration", *_within(self.calibration, 1, MOST_IMAGES)),
        )
        refuse_settings(self, rules)


Rule = tuple[bool, str]


def _within(value: float, least: float, most: float) -> Rule:
    return least <= value <= most, f"from {least:,} to {most:,}"


def _all_within(values: tuple[int, ...], least: int, most: int) -> Rule:
    return all(least <= value <= most for value in values), f"numbers from {least:,} to {most:,}"


def _share(value: float | None) -> Rule:
    return value is None or 0 <= value <= 1, "from 0 to 1"
