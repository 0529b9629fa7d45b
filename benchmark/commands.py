"""`lesionlite export`, `evaluate`, `predict`, `benchmark` and `build`."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, Positional, arg

from benchmark.config import BenchmarkConfig, PeersConfig, RegressionConfig
from export.config import ExportConfig
from train.commands import Json, Outcome, default_training, named_images
from train.config import TrainConfig
from train.console import say
from train.settings import THREADS, are_threads, refuse_settings, refuse_types

Run = Annotated[Path, arg(name="run")]


@dataclass(frozen=True)
class Evaluate:
    """Score a run or an artifact on a folder of class folders, from its own contract alone."""

    model: Positional[Path]
    """Run folder or artifact."""
    folder: Positional[Path]
    """Class folders (some of the classes will do), or a data folder whose test/ is used."""
    out: Path | None = None
    """Folder for the tables (text, CSV, JSON) and figures: class distribution, scores, scores of
    each class; curves, loss weights, confusion matrix, reliability."""
    threads: int = 2
    """Threads the runtime may use."""
    skip_bad: bool = False
    """Leave out images that cannot be decoded instead of stopping."""
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be meant.

        Raises:
            LesionliteError: naming the flag, its value, and what it may be.
        """
        refuse_types(self)
        refuse_settings(self, [("threads", are_threads(self.threads), THREADS)])

    def run(self) -> Outcome:
        """Evaluate, and show the table."""
        from benchmark.evaluate import evaluate
        from train.metrics import score_table

        read = self.model, self.folder
        scores, predictor = evaluate(*read, self.threads, self.skip_bad, self.out)
        note = predictor.contract.note
        say(score_table(scores, f"{self.model} on {scores.images} images, {predictor.runtime}"))
        if note:
            say(f"Note: {note}.")
        if self.out is not None:
            from train.layout import TABLES
            from train.results import write_results

            for missing in write_results(
                self.out, self.model, self.folder, scores, predictor.contract
            ):
                say(missing)
            say(f"results: {self.out / TABLES}")
        say(f"next: lesionlite predict {self.model} IMAGE")
        return {"model": str(self.model), "note": note, **asdict(scores)}, 0


@dataclass(frozen=True)
class Predict:
    """Classify images with a run or an artifact, from its own contract alone."""

    model: Positional[Path]
    """Run folder or artifact."""
    images: Positional[tuple[Path, ...]]
    """Image files, or folders of them."""
    top: int = 3
    """How many classes to show for each image."""
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be meant.

        Raises:
            LesionliteError: naming the flag, its value, and what it may be.
        """
        refuse_types(self)
        refuse_settings(self, [("top", self.top >= 1, "1 or more")])

    def run(self) -> Outcome:
        """Predict, and show the likeliest classes."""
        from benchmark.predictor import load

        images = named_images(self.images)
        predictor = load(self.model)
        rows = []
        for image, answer in zip(images, predictor.predict(images), strict=True):
            ranked = sorted(
                zip(predictor.contract.labels, answer.tolist(), strict=True), key=lambda p: -p[1]
            )
            unsure = ranked[0][1] < predictor.contract.unsure_below
            row = {"image": str(image), "probabilities": dict(ranked), "sure": not unsure}
            rows.append(row)
            said = ", ".join(f"{name} {p:.3f}" for name, p in ranked[: self.top])
            say(f"{image}: " + ("not sure: " if unsure else "") + said)
        if predictor.contract.note:
            say(f"Note: trained on {predictor.contract.note}.")
        say("Not a medical device.")
        document = {"model": str(self.model), "note": predictor.contract.note, "images": rows}
        return document, 0


@dataclass(frozen=True)
class Export:
    """Convert a run to TorchScript, ONNX, TFLite, Core ML and ExecuTorch files, quantized too.

    Every file takes an 8-bit RGB image and gives probabilities; its contract is inside. Beside them
    lie golden vectors: drawn images with each file's answers, for apps to check themselves.
    """

    run_folder: Positional[Path]
    """Run folder that `lesionlite train` wrote."""
    out: Path
    """Folder for the artifacts and their manifest.json."""
    data: Path | None = None
    """Data folder whose train/ gives the calibration images; w8a8 needs it."""
    config: OmitArgPrefixes[ExportConfig] = field(default_factory=ExportConfig)
    json: Json = False

    def run(self) -> Outcome:
        """Convert, and list the files."""
        from benchmark.golden import export_with_golden

        made = export_with_golden(self.run_folder, self.out, self.config, self.data)
        for row in made:
            say(f"{row.artifact}  {row.size_bytes / 1e6:.1f} MB")
        say(f"artifacts: {self.out}")
        data = self.data or "DATA"
        say(f"next: lesionlite benchmark {self.out} --run {self.run_folder} --data {data}")
        return {"out": str(self.out), "artifacts": [vars(row) for row in made]}, 0


@dataclass(frozen=True)
class Benchmark:
    """Prove on labelled images that artifacts predict as PyTorch does, and time them.

    Exits with 1 unless every artifact passes: loss of weighted F1 and agreement of answers within
    tolerance. What could not be executed is `unverified`, which is no pass.
    """

    artifacts: Positional[Path]
    """Folder that `lesionlite export` wrote, or one artifact in it."""
    run_folder: Run
    """The run they were made from: the reference they must agree with."""
    data: Path
    """Class folders, or a data folder whose test/ (else val/) is used."""
    out: Path | None = None
    """Folder for report.json, .csv, .md and .html; by default that of the artifacts."""
    peers: bool = False
    """Instead, time the artifacts beside each toolchain's default export; calibrates on train/."""
    skip_bad: bool = False
    """Leave out images that cannot be decoded instead of stopping."""
    config: OmitArgPrefixes[BenchmarkConfig] = field(default_factory=BenchmarkConfig)
    regression: OmitArgPrefixes[RegressionConfig] = field(default_factory=RegressionConfig)
    json: Json = False

    def run(self) -> Outcome:
        """Benchmark, write the report, and show it."""
        if self.peers:
            protocol = PeersConfig((1, self.config.threads), max(0.1, self.config.seconds))
            return Peers(self.artifacts, self.run_folder, self.data, self.out, protocol).run()
        from benchmark.report_text import show
        from benchmark.run import artifact_folder, benchmark_into

        folder = artifact_folder(self.artifacts)
        out = self.out or folder
        read = self.artifacts, self.run_folder, self.data
        report = benchmark_into(out, *read, self.config, self.regression, self.skip_bad)
        document = report.document()
        show(document)
        say(f"report: {out / 'report.html'} (and .md, .csv, .json)")
        say(f"next: lesionlite predict {folder / report.rows[0].artifact} IMAGE")
        return document, 0 if report.passed else 1


@dataclass(frozen=True)
class Peers:
    """Time artifacts beside each toolchain's default export of the same network, in one run."""

    artifacts: Positional[Path]
    """Folder that `lesionlite export` wrote."""
    run_folder: Run
    """The run they were made from."""
    data: Path | None = None
    """Data folder whose train/ calibrates the 8-bit defaults; without it they are left out."""
    out: Path | None = None
    """Folder for peers.json, peers.md and defaults/; by default that of the artifacts."""
    config: OmitArgPrefixes[PeersConfig] = field(default_factory=PeersConfig)
    json: Json = False

    def run(self) -> Outcome:
        """Compare, write the comparison, and show it."""
        from benchmark.peers import peers
        from benchmark.peers_report import PEERS_MD, show, write

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
class Diff:
    """Compare two forms of a network layer by layer: where do they begin to differ?

    For each tensor of the first that the second has, too: the signal-to-quantization-noise ratio.
    Exits with 1 if from some layer on none reaches the threshold.
    """

    a: Positional[Path]
    """Run folder (its mobile form in float32), or artifact."""
    b: Positional[Path]
    """Artifact (ONNX, TFLite, Core ML), or run folder."""
    images: Positional[tuple[Path, ...]]
    """Image files to look at, or folders of them."""
    threshold: float = 10.0
    """In dB; layers below it disagree. A good 8-bit file's lie between 15 and 35."""
    all: bool = False
    """Show every layer, not only the least alike."""
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be meant.

        Raises:
            LesionliteError: naming the flag, its value, and what it may be.
        """
        refuse_types(self)

    def run(self) -> Outcome:
        """Compare, and show the layers."""
        from benchmark.diff import diff, table

        found = diff(self.a, self.b, named_images(self.images), self.threshold)
        say(table(found, self.all))
        missing = [layer.name for layer in found.layers if layer.sqnr is None]
        if missing:
            say(f"{len(missing)} layers have no counterpart (fused, or written otherwise).")
        if found.first_divergence:
            say(f"They differ from {found.first_divergence} on: below {self.threshold:g} dB.")
        else:
            say(f"They agree to the end: no divergence below {self.threshold:g} dB.")
        say(f"next: lesionlite benchmark {self.b} --run {self.a} --data DATA")
        return {"a": str(self.a), "b": str(self.b), **asdict(found)}, int(
            bool(found.first_divergence)
        )


@dataclass(frozen=True)
class Armroot:
    """Fetch an Arm system with Python and the runtimes, which `benchmark --arm` emulates.

    Needs Debian or Ubuntu with qemu-user-static; nothing is installed. It lies in the cache folder.
    """

    json: Json = False

    def run(self) -> Outcome:
        """Fetch it, unless it is there."""
        from benchmark.arm_root import CORES, build_root

        folder = build_root()
        say(f"Arm system: {folder}; cores: {', '.join(CORES)}")
        say("next: lesionlite benchmark ARTIFACTS --run RUN --data DATA --arm cortex-a76")
        return {"folder": str(folder), "cores": list(CORES)}, 0


@dataclass(frozen=True)
class Build:
    """Do it all: train, export, benchmark. Steps whose inputs have not changed are skipped.

    Without DATA, 14-class images of no medical meaning are drawn, and the training flags default
    to a short demonstration. Exits with 1 unless every artifact passes.
    """

    data: Positional[Path | None] = None
    """Data folder with train/, val/ and test/; leave it out to draw images."""
    out: Path = Path("dist/build")
    """Folder for everything: run/, artifacts/, report.html (and .md, .csv, .json)."""
    run_folder: Annotated[Path | None, arg(name="run")] = None
    """An existing run to use instead of training."""
    images: int = 2800
    """How many images to draw where there is no DATA."""
    training: OmitArgPrefixes[TrainConfig] = field(default_factory=default_training)
    exporting: OmitArgPrefixes[ExportConfig] = field(default_factory=ExportConfig)
    benchmarking: OmitArgPrefixes[BenchmarkConfig] = field(default_factory=BenchmarkConfig)
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be meant.

        Raises:
            LesionliteError: naming the flag, its value, and what it may be.
        """
        refuse_types(self)
        refuse_settings(self, [("images", 1 <= self.images <= 1_000_000, "from 1 to 1000000")])

    def run(self) -> Outcome:
        """Build, and show the report."""
        from benchmark.build import build
        from benchmark.report_text import show

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
        say(f"report: {self.out / 'report.html'} (and .md, .csv, .json)")
        say(f"next: lesionlite predict {artifacts / document['rows'][0]['artifact']} IMAGE")
        return document, 0 if document["passed"] else 1
