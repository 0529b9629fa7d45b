"""`lesionlite benchmark`, `layers`, `peers`, `targets`, `compile`, `armroot` and `build`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, Positional, arg

from lesionlite.benchmark.config import RARE_FLAGS, BenchmarkConfig, PeersConfig, RegressionConfig
from lesionlite.benchmark.targets.table import BY_DEFAULT
from lesionlite.command import Json, Outcome
from lesionlite.console import say
from lesionlite.export.config import RARE_FLAGS as RARE_EXPORT_FLAGS
from lesionlite.export.config import ExportConfig
from lesionlite.settings import THREADS, are_threads, refuse_settings, refuse_types
from lesionlite.train.commands import TrainingFlags, no_flags, training_of
from lesionlite.train.config import RARE_FLAGS as RARE_TRAINING_FLAGS
from lesionlite.train.config import TrainConfig
from lesionlite.verdicts import MODEL_CARD, PEERS_MD, REPORT_HTML, TARGETS_JSON

Run = Annotated[Path, arg(name="run")]


@dataclass(frozen=True)
class Benchmark:
    """Prove on labelled images that artifacts predict as PyTorch does, and time them.

    Exits with 1 unless every artifact passes: its loss of weighted F1 and its agreement with
    PyTorch must be within tolerance. An artifact that could not be executed is `unverified` and
    does not pass.
    """

    RARE_FLAGS = RARE_FLAGS

    artifacts: Positional[Path]
    """Folder that `lesionlite export` wrote, or one artifact in it."""
    run_folder: Run
    """The run that they were made from: the reference."""
    data: Path
    """Class folders, or a data folder whose test/ (else val/) is used."""
    out: Path | None = None
    """Folder for report.json, .csv, .md and .html; by default that of the artifacts."""
    skip_bad: bool = False
    """Leave out images that cannot be decoded, instead of stopping."""
    config: OmitArgPrefixes[BenchmarkConfig] = field(default_factory=BenchmarkConfig)
    regression: OmitArgPrefixes[RegressionConfig] = field(default_factory=RegressionConfig)
    json: Json = False

    def run(self) -> Outcome:
        """Benchmark, write the report, and show it."""
        from lesionlite.benchmark.report.text import show
        from lesionlite.benchmark.run import benchmark_into
        from lesionlite.export.formats import artifact_folder

        folder = artifact_folder(self.artifacts)
        out = self.out or folder
        read = self.artifacts, self.run_folder, self.data
        report = benchmark_into(out, *read, self.config, self.regression, self.skip_bad)
        document = report.document()
        show(document)
        say(f"report: {out / REPORT_HTML} (and .md, .csv, .json)")
        say(f"next: lesionlite predict {folder / report.rows[0].artifact} IMAGE")
        return document, 0 if report.passed else 1


@dataclass(frozen=True)
class Peers:
    """Time artifacts beside each toolchain's default export of the same network, in one run."""

    artifacts: Positional[Path]
    """Folder that `lesionlite export` wrote."""
    run_folder: Run
    """The run that they were made from."""
    data: Path | None = None
    """Data folder whose train/ calibrates the 8-bit defaults; by default they are left out."""
    out: Path | None = None
    """Folder for peers.json, peers.md and defaults/; by default that of the artifacts."""
    config: OmitArgPrefixes[PeersConfig] = field(default_factory=PeersConfig)
    json: Json = False

    def run(self) -> Outcome:
        """Compare, write the comparison, and show it."""
        from lesionlite.benchmark.peers.peers_report import show, write
        from lesionlite.benchmark.peers.run import peers

        out = self.out or self.artifacts
        comparison = peers(self.artifacts, self.run_folder, self.data, self.config, out)
        document = comparison.document()
        write(document, out)
        show(document)
        say(f"comparison: {out / PEERS_MD}")
        data = self.data or "DATA"
        say(f"next: lesionlite benchmark {self.artifacts} --run {self.run_folder} --data {data}")
        return document, 0


@dataclass(frozen=True)
class Layers:
    """Say which layers of a TFLite or ONNX file take the time, and how fast they are."""

    artifact: Positional[Path]
    """The file."""
    threads: int = 1
    """Threads that its runtime may use."""
    most: int = 20
    """How many layers to show; --json has all."""
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            LesionliteError: It names the flag, its value, and the values allowed.
        """
        refuse_types(self)
        rules = [("threads", are_threads(self.threads), THREADS), ("most", self.most > 0, "over 0")]
        refuse_settings(self, rules)

    def run(self) -> Outcome:
        """Time each operation, and show what they take."""
        from lesionlite.benchmark.layers.run import layers, show

        found = layers(self.artifact, self.threads)
        show(found, self.most)
        say("next: lesionlite benchmark ARTIFACTS --run RUN --data DATA --instructions")
        return found.document(), 0


@dataclass(frozen=True)
class Targets:
    """Compile artifacts for the processors of phones: which take a file wholly, and what not.

    Nothing is timed. Exits with 1 if a target of --require does not take every file of its kinds.
    """

    artifacts: Positional[Path]
    """Folder that `lesionlite export` wrote, or one artifact in it."""
    targets: tuple[str, ...] = BY_DEFAULT
    """Targets to compile for, by name."""
    require: tuple[str, ...] = ()
    """Targets that must take every file of their kinds wholly, e.g. gpu,sm8650."""
    out: Path | None = None
    """Folder for targets.json; by default that of the artifacts."""
    json: Json = False

    def run(self) -> Outcome:
        """Judge every file for every target, write the matrix, and show it."""
        from lesionlite.benchmark.targets.matrix import judge_all, write
        from lesionlite.benchmark.targets.show import show
        from lesionlite.export.formats import artifact_folder

        required = [name for words in self.require for name in words.split(",") if name]
        out = self.out or artifact_folder(self.artifacts)
        matrix = judge_all(self.artifacts, self.targets, required)
        write(matrix, out)
        document = matrix.document()
        show(document)
        say(f"matrix: {out / TARGETS_JSON}")
        say(f"next: lesionlite benchmark {self.artifacts} --run RUN --data DATA --npu sm8650 --gpu")
        return document, 1 if matrix.failures else 0


@dataclass(frozen=True)
class Compile:
    """Compile ONNX and TFLite artifacts for Snapdragons' NPUs, as they ship to phones.

    The files are written to the folder compiled/ of the artifacts, and listed in manifest.json.
    Only files that an NPU takes wholly are compiled for it. Exits with 1 if a target takes none.
    """

    artifacts: Positional[Path]
    """Folder that `lesionlite export` wrote, or one artifact in it."""
    targets: tuple[str, ...]
    """Snapdragons to compile for, by part number, e.g. sm8650."""
    json: Json = False

    def run(self) -> Outcome:
        """Compile, and list the files."""
        from lesionlite.benchmark.targets.compile import compile_all
        from lesionlite.benchmark.targets.show import by_reason
        from lesionlite.export.formats import artifact_folder
        from lesionlite.export.manifest import COMPILED

        made, refusals = compile_all(self.artifacts, self.targets)
        for row in made:
            say(f"{row.file}  {row.size_bytes / 1e6:.1f} MB")
        for target, reason, names in by_reason((r.target, r.reason, r.artifact) for r in refusals):
            say(f"not compiled for {target}: {names}: {reason}")
        if refusals:
            say(f"`lesionlite targets {self.artifacts}` names the layers to blame.")
        folder = artifact_folder(self.artifacts)
        say(f"compiled files: {folder / COMPILED}")
        npu = made[0].target if made else self.targets[0]
        say(f"next: lesionlite benchmark {folder} --run RUN --data DATA --npu {npu}")
        document = {
            "folder": str(folder / COMPILED),
            "compiled": [vars(row) for row in made],
            "refused": [vars(row) for row in refusals],
        }
        idle = set(self.targets) - {row.target for row in made}
        return document, 1 if idle else 0


@dataclass(frozen=True)
class Armroot:
    """Fetch an Arm system with Python and the runtimes, which `benchmark --arm` emulates.

    Needs Debian or Ubuntu with qemu-user-static. The system is kept in the cache folder; nothing is
    installed.
    """

    json: Json = False

    def run(self) -> Outcome:
        """Fetch the system, unless it is in the cache."""
        from lesionlite.benchmark.elsewhere.arm_root import CORES, build_root

        folder = build_root()
        say(f"Arm system: {folder}; cores: {', '.join(CORES)}")
        say("next: lesionlite benchmark ARTIFACTS --run RUN --data DATA --arm cortex-a76")
        return {"folder": str(folder), "cores": list(CORES)}, 0


@dataclass(frozen=True)
class Build:
    """Do it all: train, export, benchmark. Steps whose inputs have not changed are skipped.

    Without DATA, it draws images of 14 classes, without medical meaning, and the training flags
    default to a short demonstration. Exits with 1 unless every artifact passes.
    """

    RARE_FLAGS = RARE_TRAINING_FLAGS | RARE_EXPORT_FLAGS | RARE_FLAGS

    data: Positional[Path | None] = None
    """Data folder with train/, val/ and test/; without it, images are drawn."""
    out: Path = Path("dist/build")
    """Folder to write: run/, artifacts/, report.html (and .md, .csv, .json)."""
    run_folder: Annotated[Path | None, arg(name="run")] = None
    """An existing run to use, instead of training."""
    images: int = 2400
    """How many images to draw if there is no DATA."""
    training_flags: TrainingFlags = field(default_factory=no_flags)
    exporting: OmitArgPrefixes[ExportConfig] = field(default_factory=ExportConfig)
    benchmarking: OmitArgPrefixes[BenchmarkConfig] = field(default_factory=BenchmarkConfig)
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            LesionliteError: It names the flag, its value, and the values allowed.
        """
        refuse_types(self)
        refuse_settings(self, [("images", 1 <= self.images <= 1_000_000, "from 1 to 1000000")])

    @property
    def training(self) -> TrainConfig:
        """How to train: the demo's settings where images are drawn, unless a flag differs."""
        return training_of(self.training_flags, "demo" if self.data is None else "paper")

    def run(self) -> Outcome:
        """Build, and show the report."""
        from lesionlite.benchmark.build import build
        from lesionlite.benchmark.report.text import show

        document: dict[str, Any] = build(
            self.out,
            self.data,
            self.run_folder,
            self.training,
            self.exporting,
            self.benchmarking,
            self.images,
        )
        show(document)
        artifacts = self.out / "artifacts"
        say(f"artifacts: {artifacts}")
        say(f"report: {self.out / REPORT_HTML} (and .md, .csv, .json), {self.out / MODEL_CARD}")
        say(f"next: lesionlite predict {artifacts / document['rows'][0]['artifact']} IMAGE")
        return document, 0 if document["passed"] else 1
