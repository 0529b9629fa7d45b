"""Settings of `benchmark` and `peers`, as frozen records."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg

from lesionlite.export.precision import PRECISIONS
from lesionlite.settings import MAX_THREADS, numbers_by_label, refuse_settings, refuse_types

# Larger numbers are typing errors: they would hang, or use up the machine.
MOST_SECONDS, MOST_QUERIES, MOST_IMAGES = 3600, 1_000_000, 1_000_000
Takes = Literal["floats", "pixels"]
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


RARE_FLAGS = {  # `--help` shows these after the common flags, in groups
    "gate": ("allow_unverified", *GATES, "gate", "min_recall", "strict"),
    "timing": ("submission", "sweep", "instructions"),
    "other runtimes and devices": (
        *("runtimes", "coreml_runtime", "arm", "arm_images", "x86", "x86_images"),
        *("npu", "npu_images", "gpu", "targets", "android"),
    ),
    "other ways to resize": ("resize_drift",),
}


@dataclass(frozen=True)
class BenchmarkConfig:
    """How to judge artifacts."""

    allow_unverified: tuple[str, ...] = ()
    """Artifacts that may stay unverified without failing the gate, by file name."""
    threads: int = 2
    """Threads that each runtime may use."""
    queries: int = 128
    """Fewest timed queries per artifact."""
    seconds: float = 10.0
    """Least time spent on timed queries per artifact."""
    submission: bool = False
    """Time as MLPerf Mobile asks: at least 1024 queries and 60 seconds per artifact."""
    sweep: tuple[int, ...] = ()
    """Time everything with other numbers of threads, too, e.g. 1 4."""
    instructions: bool = False
    """Count the instructions of one query, too, by valgrind on one thread: a figure that other
    programs on the machine cannot move. Linux on x86-64 only."""
    runtimes: bool = False
    """Execute the files with other runtimes, too: TFLite with TensorFlow's interpreter, MediaPipe
    and LiteRT without XNNPACK, ONNX with one thread and without fusion. Needs the extra
    `runtimes`."""
    coreml_runtime: Literal["auto", "native", "reference", "both"] = "auto"
    """What executes Core ML files: Core ML (native), lesionlite's own executor (reference), or
    both, compared with each other. auto takes Core ML on macOS, else the executor."""
    resize_drift: bool = False
    """Measure what other ways to resize an image cost; takes seven times as long."""
    arm: tuple[str, ...] = ()
    """Execute TFLite and ONNX files on emulated Arm cores, too, e.g. cortex-a76 (with dot-product
    instructions) or cortex-a72 (without). Run `lesionlite armroot` first."""
    arm_images: int = 56
    """Number of test images for the Arm cores, spread evenly over the classes."""
    x86: tuple[str, ...] = ()
    """Execute TFLite and ONNX files on emulated x86 processors without VNNI, too: haswell or
    skylake. Needs qemu-user-static."""
    x86_images: int = 28
    """Number of test images for them, spread evenly over the classes."""
    npu: tuple[str, ...] = ()
    """Execute ONNX and TFLite files on the emulated NPU of Snapdragons, too, e.g. sm8650. An image
    takes a second to a minute. Needs the extra `npu`."""
    npu_images: int = 8
    """Number of test images for the NPUs, spread evenly over the classes."""
    targets: tuple[str, ...] = ()
    """Add to the report what these targets take of each file, as `lesionlite targets` tells."""
    gpu: bool = False
    """Execute TFLite files with LiteRT's GPU accelerator, too. Needs the extra `gpu` and a Vulkan
    driver."""
    android: Path | None = None
    """Time TFLite files on the phone that adb reaches, with this binary: LiteRT's benchmark_model
    for android-arm64."""
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
    """What the tolerated loss applies to: the change of weighted F1 on these images (point), or the
    lower end of its 95 % interval, which also covers other images of this kind."""
    min_recall: tuple[str, ...] = ()
    """LABEL=CHANGE: the recall of a class may not change by less, e.g. Melanoma=-0.01."""
    strict: bool = False
    """Stop before the work if there are so few test images that one changed answer breaks a gate.
    Without this flag, the report says so."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            LesionliteError: It names the setting, its value, and the values allowed.
        """
        refuse_types(self)
        rules = (
            ("threads", *_within(self.threads, 1, MAX_THREADS)),
            ("queries", *_within(self.queries, 1, MOST_QUERIES)),
            ("seconds", *_within(self.seconds, 0, MOST_SECONDS)),
            ("arm_images", *_within(self.arm_images, 1, MOST_IMAGES)),
            ("x86_images", *_within(self.x86_images, 1, MOST_IMAGES)),
            ("npu_images", *_within(self.npu_images, 1, MOST_IMAGES)),
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
        """The entries of `min_recall`: change by label.

        Raises:
            LesionliteError: It names the entry that is not LABEL=CHANGE.
        """
        return numbers_by_label("min_recall", self.min_recall, "CHANGE", (-1, 1), "Melanoma=-0.01")


@dataclass(frozen=True)
class RegressionConfig:
    """What may not become worse than in an older report, and by how much."""

    against: Path | None = None
    """Compare with an older report.json; the exit code is 1 if anything became worse."""
    max_slowdown: float = 1.2
    """Tolerated ratio of median latencies, each divided by PyTorch's in the same report."""
    max_more_instructions: float = 1.01
    """Tolerated ratio of instructions per query, if both reports count them."""
    max_growth: float = 1.05
    """Tolerated ratio of file sizes."""
    max_f1_drop: float = 0.002
    """Tolerated fall of weighted F1; judged only if each class has as many images as then."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            LesionliteError: It names the setting, its value, and the values allowed.
        """
        refuse_types(self)
        rules = (
            ("max_slowdown", self.max_slowdown >= 1, "1 or more"),
            ("max_more_instructions", self.max_more_instructions >= 1, "1 or more"),
            ("max_growth", self.max_growth >= 1, "1 or more"),
            ("max_f1_drop", *_share(self.max_f1_drop)),
        )
        refuse_settings(self, rules)


@dataclass(frozen=True)
class PeersConfig:
    """How to compare artifacts with the toolchains' default exports."""

    threads: tuple[int, ...] = (1, 2)
    """Threads that each runtime may use; everything is measured once per number."""
    seconds: float = 6.0
    """Time spent on each file's queries, per number of threads."""
    bursts: int = 12
    """Number of turns that this time is divided into; ratios are compared turn by turn."""
    calibration: int = 32
    """How many of our calibration images calibrate the 8-bit defaults."""
    formats: tuple[str, ...] = ()
    """Formats to compare; by default those of the artifacts."""
    takes: Takes = "floats"
    """What the defaults take: normalized floats, and give logits; or pixels, and give
    probabilities, as ours do."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            LesionliteError: It names the setting, its value, and the values allowed.
        """
        refuse_types(self)
        rules = (
            ("threads", bool(self.threads), "one number or more"),
            ("threads", *_all_within(self.threads, 1, MAX_THREADS)),
            ("seconds", 0 < self.seconds <= MOST_SECONDS, f"above 0, at most {MOST_SECONDS}"),
            ("bursts", *_within(self.bursts, 2, 10_000)),  # one turn has no spread
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
