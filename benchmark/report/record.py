"""The results of a benchmark, and the reports written from them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.elsewhere.android import PhoneRow
from lesionlite.benchmark.elsewhere.arm_root import CORES
from lesionlite.benchmark.elsewhere.check import CrossRuntimeCheck
from lesionlite.benchmark.instructions.count import Instructions
from lesionlite.benchmark.latency import MAX_NOISE, STEADY, Latency
from lesionlite.benchmark.parity import Parity, tolerances, too_few
from lesionlite.benchmark.report.html import html
from lesionlite.benchmark.report.machine import machine
from lesionlite.benchmark.report.markdown import csv_text, markdown
from lesionlite.benchmark.resize import Drift, verdicts
from lesionlite.benchmark.statistics import RESAMPLES, SEED
from lesionlite.export.formats import FORMATS
from lesionlite.export.precision import PRECISIONS
from lesionlite.export.toolchains import versions
from lesionlite.files import write_json, write_text
from lesionlite.metrics import score
from lesionlite.outputs import refuse_foreign, writing_into
from lesionlite.train.data.splits import TOO_GOOD
from lesionlite.verdicts import REPORT_CSV, REPORT_HTML, REPORT_JSON, REPORT_MD, REPORTS

Document = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """One artifact: its verdict and its measurements.

    `status` is pass, fail or unverified, and `reason` says why it is not pass. `parity` is None if
    the artifact could not be executed, `latency` if no native runtime executes it here. `sweep` has
    the median latency in milliseconds for other numbers of threads. `instructions` is None if they
    were not asked for, or no native runtime executes it here. `peak_memory_bytes` is of a new
    process, after loading and one query. `native` is False if a reference executor executed it.
    """

    artifact: str
    format: str
    precision: str
    size_bytes: int
    runtime: str
    status: str
    reason: str
    parity: Parity | None = None
    latency: Latency | None = None
    load_ms: float | None = None
    peak_memory_bytes: int | None = None
    sweep: Mapping[int, float] = field(default_factory=dict)
    instructions: Instructions | None = None
    native: bool = True

    def document(self) -> Document:
        """The row of `report.json`."""
        parity = asdict(self.parity) if self.parity else dict.fromkeys(Parity.__annotations__)
        return {
            **{key: getattr(self, key) for key in ("artifact", "format", "precision", "runtime")},
            **{key: getattr(self, key) for key in ("status", "reason")},
            **parity,
            "latency_ms": asdict(self.latency) if self.latency else None,
            "load_ms": self.load_ms,
            "peak_memory_bytes": self.peak_memory_bytes,
            "sweep_ms": {str(threads): p50 for threads, p50 in self.sweep.items()},
            "instructions": asdict(self.instructions) if self.instructions else None,
            "size_bytes": self.size_bytes,
        }


@dataclass(frozen=True)
class Report:
    """The results of a benchmark."""

    reference: Document
    rows: tuple[Result, ...]
    labels: tuple[str, ...]
    config: BenchmarkConfig
    note: str
    disclaimer: str
    unsettled: tuple[str, ...] = ()  # artifacts whose times did not settle in the warm-up
    drifts: tuple[Drift, ...] = ()
    elsewhere: tuple[CrossRuntimeCheck, ...] = ()
    phone: tuple[PhoneRow, ...] = ()
    against: Document | None = None  # what `compare_reports` found
    split: str = ""  # of a data folder, whose images these are
    targets: Document | None = None  # which targets take which files, as targets.json has it

    @property
    def passed(self) -> bool:
        """Whether every artifact passes, or is unverified and allowed to be.

        Also, no other runtime or core fails, and nothing became worse than in an older report.
        """
        allowed = self.config.allow_unverified
        if any(row.status == "fail" for row in self.elsewhere):
            return False
        return (self.against is None or self.against["passed"]) and all(
            row.status == "pass" or (row.status == "unverified" and row.artifact in allowed)
            for row in self.rows
        )

    def document(self) -> Document:
        """The contents of `report.json`; `report.schema.json` in this folder describes them."""
        return {
            "passed": self.passed,
            "note": self.note,
            "disclaimer": self.disclaimer,
            "labels": list(self.labels),
            "reference": self.reference,
            "rows": [row.document() for row in self.rows],
            "allow_unverified": list(self.config.allow_unverified),
            "machine": machine(self.config.threads),
            "versions": versions(),
            "method": self._method(),
            "split": self.split,
            "too_good": TOO_GOOD.get(self.split, ""),
            "too_few_images": self._too_few(),
            "caveats": self._caveats(),
            "resize_drift": self._drift(),
            "elsewhere": [asdict(row) for row in self.elsewhere],
            "phone": [asdict(row) for row in self.phone],
            "against": self.against,
            "targets": self.targets,
        }

    def _method(self) -> list[str]:
        """How the results were measured."""
        here, config = machine(self.config.threads), self.config
        queries, seconds = config.protocol()
        return [
            "Reference: timm's model in PyTorch, float32, fed the same pixels.",
            _gate(config),
            f"Interval of the change: paired bootstrap, {RESAMPLES:,} resamples, seed {SEED}.",
            f"Latency: single stream, batch 1, {here['threads']} threads, at least "
            f"{queries} queries and {seconds:g} s each, once warm (medians of two windows agree to "
            f"{100 * STEADY:g} %), each artifact in a process of its own, taking turns, on "
            f"{here['processor']} ({here['cores']} cores, "
            f"{here['system']}). Compare ratios within this table, not with other machines.",
        ]

    def _too_few(self) -> str:
        judged = (row.precision for row in self.rows if row.parity)
        found = too_few(self.reference["images"], judged, self.config)
        return found[:1].upper() + found[1:] + "." if found else ""

    def _drift(self) -> Document | None:
        if not self.drifts:
            return None
        return {"tolerated": verdicts(self.drifts), "rows": [asdict(row) for row in self.drifts]}

    def _caveats(self) -> list[str]:
        """What the results do not prove."""
        words = [w for w in (TOO_GOOD.get(self.split, ""), self._too_few()) if w]
        for name, runtime in dict.fromkeys(
            (r.format, r.runtime) for r in self.rows if not r.native
        ):
            kind = FORMATS[name]
            words.append(
                f"{kind.title} files were executed by {runtime}, not as on a phone: that proves "
                f"their graph and weights, not {kind.unproven}, and gives no latency."
            )
        if any(row.where in CORES for row in self.elsewhere):
            words.append(
                "On Arm: the runtimes' own aarch64 builds under qemu's user emulation, on a sample "
                "of the images: this proves what Arm instructions compute, and says nothing of "
                "speed."
            )
        words += _elsewhere_caveats(self.config, self.targets)
        if self.phone:
            words.append(
                "On the phone: LiteRT's benchmark_model with XNNPACK, over adb, on random input; "
                "a phone that is warm or saves its battery is slower."
            )
        noisy = [r.artifact for r in self.rows if r.latency and r.latency.noise > MAX_NOISE]
        if noisy or self.unsettled:
            words.append(
                f"The machine was too noisy to compare {', '.join({*noisy, *self.unsettled})}: "
                "the medians of their bursts spread by more than "
                f"{MAX_NOISE:.0%} (interquartile range), or their times did not settle in the "
                "warm-up. Close other programs, or give more --seconds."
            )
        return words

    def write(self, folder: Path) -> None:
        """Write report.json, report.csv, report.md and report.html into `folder`."""
        document = self.document()
        with writing_into(folder):
            write_json(folder / REPORT_JSON, document)
            write_text(folder / REPORT_CSV, csv_text(document))
            write_text(folder / REPORT_MD, markdown(document))
            write_text(folder / REPORT_HTML, html(document))


def reference_document(
    answers: NDArray[np.float32],
    truth: NDArray[np.int64],
    labels: tuple[str, ...],
    latency: Latency,
) -> Document:
    """The reference's part of `report.json`.

    Args:
        answers: Probabilities [N, C] of the reference.
        truth: Class indices [N].
        labels: Names of the classes [C].
        latency: Of the reference.
    """
    scores = score(answers, truth, labels)
    return {
        "weighted_f1": scores.weighted_f1,
        "macro_f1": scores.macro_f1,
        "accuracy": scores.accuracy,
        "images": scores.images,
        "recall": {row.label: row.recall for row in scores.classes if row.support},
        "support": {row.label: row.support for row in scores.classes},
        "confusion": scores.confusion,
        "expected_calibration_error": scores.calibration_error,
        "reliability": [asdict(b) for b in scores.reliability],
        "latency_ms": asdict(latency),
    }


def refuse_reports(folder: Path) -> None:
    """Refuse a folder that holds a report of the user.

    Raises:
        LesionliteError: It names the file.
    """
    for name in REPORTS:
        refuse_foreign(folder / name)


def _elsewhere_caveats(config: BenchmarkConfig, targets: Document | None) -> list[str]:
    """What valgrind, compilers, emulators and the GPU here do not prove."""
    words = []
    if config.instructions:
        words.append(
            "Instructions: counted by valgrind on one thread. They are no time, and valgrind knows "
            "no AVX-512, so runtimes take other kernels than on a processor that has it."
        )
    if config.npu:
        words.append(
            "On NPUs: Qualcomm's own compiler and emulator, on a sample of the images. This proves "
            "what the compiled file computes; a phone's driver may still refuse it, and no time is "
            "claimed."
        )
    if config.gpu:
        words.append(
            "On the GPU: LiteRT's GPU accelerator on this machine's Vulkan driver. A phone's GPU "
            "computes in float16, and its driver may round differently."
        )
    if targets:
        words.append(
            "Targets: the vendors' own compilers tell what they take. The rules for the Neural "
            "Engine only warn."
        )
    return words


def _gate(config: BenchmarkConfig) -> str:
    """The tolerances, in a sentence."""
    each = [
        f"{name} " + ", ".join(f"{value:g}" for value in tolerances(row, config))
        for name, row in PRECISIONS.items()
    ]
    what = "the lower end of its interval" if config.gate == "interval" else "this point estimate"
    recalls = "".join(
        f" Recall of {label} may change by no less than {least:+g}."
        for label, least in config.recall_gates().items()
    )
    return (
        f"Gate: tolerated loss of weighted F1 ({what}), least share of answers that stay, "
        f"tolerated mean |Δp|: {'; '.join(each)}. The recall of a class may fall by the tolerated "
        "loss and what chance explains: by less, the more images it has; one answer may always "
        f"change.{recalls}"
    )
