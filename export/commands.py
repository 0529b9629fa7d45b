"""`lesionlite check`, `export`, `verify`, `evaluate`, `predict` and `diff`."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from tyro.conf import OmitArgPrefixes, Positional

from lesionlite.command import Json, Outcome
from lesionlite.console import say
from lesionlite.export.config import FORMATS_BY_DEFAULT, RARE_FLAGS, ExportConfig
from lesionlite.settings import THREADS, are_threads, refuse_settings, refuse_types
from lesionlite.train.commands import named_images
from lesionlite.train.config import TrainConfig


@dataclass(frozen=True)
class Export:
    """Convert a run to TorchScript, ONNX, TFLite, Core ML and ExecuTorch files, quantized too.

    Each file takes an 8-bit RGB image, gives probabilities, and holds its contract. Golden vectors
    are written beside them: drawn images and each file's probabilities, so that apps can test it.
    """

    RARE_FLAGS = RARE_FLAGS

    run_folder: Positional[Path]
    """Run folder that `lesionlite train` wrote."""
    out: Path
    """Folder for the artifacts and their manifest.json."""
    data: Path | None = None
    """Data folder; w8a8, w8, w6 and w4 take calibration images from its train/."""
    config: OmitArgPrefixes[ExportConfig] = field(default_factory=ExportConfig)
    json: Json = False

    def run(self) -> Outcome:
        """Convert, and list the files."""
        from lesionlite.export.execute.golden import export_with_golden

        made = export_with_golden(self.run_folder, self.out, self.config, self.data)
        for row in made:
            say(f"{row.artifact}  {row.size_bytes / 1e6:.1f} MB")
        say(f"artifacts: {self.out}")
        data = self.data or "DATA"
        say(f"next: lesionlite benchmark {self.out} --run {self.run_folder} --data {data}")
        return {"out": str(self.out), "artifacts": [vars(row) for row in made]}, 0


@dataclass(frozen=True)
class Check:
    """Say what a network gives on phones before it is trained: formats, layers, sizes.

    It converts the network with random weights and compares the files' answers with PyTorch's.
    Exits with 1 if a format refuses it or answers wrongly.
    """

    model: Positional[str]
    """The timm name of a network, such as mobilenetv4_conv_small."""
    side: int = 0
    """Side of its square input in pixels; 0 means the network's own."""
    formats: tuple[str, ...] = FORMATS_BY_DEFAULT
    """Formats to try."""
    precisions: tuple[str, ...] = ("fp32",)
    """Precisions to try, in each format that has them. For w8a8, a quick plan takes a minute or
    more."""
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse settings out of range.

        Raises:
            LesionliteError: names the flag, its value, and the values it may have.
        """
        refuse_types(self)
        TrainConfig(side=self.side)  # whose rule for the side holds here, too
        ExportConfig(self.formats, self.precisions)  # and whose for the names

    def run(self) -> Outcome:
        """Check, and print a row for each file."""
        from lesionlite.export.check.network import check_network
        from lesionlite.export.check.words import check_words

        found = check_network(self.model, self.side, self.formats, self.precisions)
        for words in check_words(found):
            say(words)
        say(f"next: lesionlite build DATA --model {self.model} --out dist/{self.model}")
        return {**asdict(found), "passed": found.passed}, 0 if found.passed else 1


@dataclass(frozen=True)
class Verify:
    """Check a folder of artifacts against its manifest: what is missing, changed or not listed.

    Exits with 1 if a file differs.
    """

    artifacts: Positional[Path]
    """Folder that `lesionlite export` wrote."""
    json: Json = False

    def run(self) -> Outcome:
        """Verify, and print one line for each file."""
        from lesionlite.export.verify import verify

        result = verify(self.artifacts)
        for check in result.checks:
            say(check.line())
        wrong = sum(check.status != "ok" for check in result.checks)
        say(f"{wrong} of {len(result.checks)} differ" if wrong else "all is as the manifest says")
        document = {
            "folder": result.folder,
            "passed": result.passed,
            "checks": [vars(check) for check in result.checks],
        }
        return document, 0 if result.passed else 1


@dataclass(frozen=True)
class Evaluate:
    """Score a run or an artifact on a folder of class folders, from its own contract alone."""

    model: Positional[Path]
    """Run folder or artifact."""
    folder: Positional[Path]
    """Class folders of some or all classes, or a data folder, of which test/ is used."""
    out: Path | None = None
    """Folder for tables (text, CSV, JSON) of scores and class counts, and for figures: curves,
    loss weights, confusion matrix, reliability."""
    threads: int = 2
    """Number of threads that the runtime may use."""
    skip_bad: bool = False
    """Leave out images that cannot be decoded, instead of stopping."""
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse numbers out of range.

        Raises:
            LesionliteError: names the flag, its value, and the values it may have.
        """
        refuse_types(self)
        refuse_settings(self, [("threads", are_threads(self.threads), THREADS)])

    def run(self) -> Outcome:
        """Evaluate, and print the scores."""
        from lesionlite.export.execute.evaluate import evaluate
        from lesionlite.metrics import score_table
        from lesionlite.train.data.splits import TOO_GOOD, images_of

        read = self.model, self.folder
        scores, predictor = evaluate(*read, self.threads, self.skip_bad, self.out)
        note = predictor.contract.note
        shown = images_of(scores.split, scores.images)
        title = f"{self.model} on {shown}, {predictor.runtime}"
        say(score_table(scores, title))
        if scores.split in TOO_GOOD:
            say(TOO_GOOD[scores.split])
        if note:
            say(f"Note: {note}.")
        if self.out is not None:
            from lesionlite.layout import TABLES
            from lesionlite.train.results import write_results

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
    """Number of classes to print for each image."""
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse numbers out of range.

        Raises:
            LesionliteError: names the flag, its value, and the values it may have.
        """
        refuse_types(self)
        refuse_settings(self, [("top", self.top >= 1, "1 or more")])

    def run(self) -> Outcome:
        """Predict, and print the most probable classes of each image."""
        from lesionlite.export.execute.predictor import load

        images = named_images(self.images)
        predictor = load(self.model)
        rows = []
        found = predictor.answer(images)
        rejected = found.rejected if found.rejected is not None else [None] * len(images)
        for image, answer, other in zip(images, found.probabilities, rejected, strict=True):
            ranked = sorted(
                zip(predictor.contract.labels, answer.tolist(), strict=True), key=lambda p: -p[1]
            )
            unsure = ranked[0][1] < predictor.contract.unsure_below
            row = {"image": str(image), "probabilities": dict(ranked), "sure": not unsure}
            row["rejected"] = None if other is None else bool(other)
            rows.append(row)
            best = ", ".join(f"{name} {p:.3f}" for name, p in ranked[: self.top])
            doubt = "not this kind of image: " if other else "not sure: " if unsure else ""
            say(f"{image}: {doubt}{best}")
        if predictor.contract.note:
            say(f"Note: trained on {predictor.contract.note}.")
        if predictor.contract.disclaimer:
            say(predictor.contract.disclaimer)
        document = {"model": str(self.model), "note": predictor.contract.note, "images": rows}
        return document, 0


@dataclass(frozen=True)
class Diff:
    """Compare two forms of a network layer by layer: where do they begin to differ?

    It shows the signal-to-quantization-noise ratio of each tensor that both have. Exits with 1 if
    the last layers are below the threshold.
    """

    a: Positional[Path]
    """Run folder (its mobile form in float32), or artifact."""
    b: Positional[Path]
    """Artifact of a format that shows its tensors (ONNX, TFLite, Core ML), or run folder."""
    images: Positional[tuple[Path, ...]]
    """Image files to compare on, or folders of them."""
    threshold: float = 10.0
    """Layers below this ratio, in dB, disagree. Layers of a good 8-bit file have 15 to 35 dB."""
    all: bool = False
    """Print every layer, not only those that differ most."""
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse numbers out of range.

        Raises:
            LesionliteError: names the flag, its value, and the values it may have.
        """
        refuse_types(self)

    def run(self) -> Outcome:
        """Compare, and print the layers."""
        from lesionlite.export.execute.diff import diff, table

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
