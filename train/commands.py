"""`lesionlite prepare`, `audit`, `train`, `profile` and `explain`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, Positional, arg

from lesionlite.command import SHOWN, Json, Outcome
from lesionlite.console import say
from lesionlite.contract import Contract
from lesionlite.flags import given_flags, switches
from lesionlite.layout import CONTRACT, OPERATING_FIGURE
from lesionlite.train.calibrate.config import AdjustConfig
from lesionlite.train.config import RARE_FLAGS, TrainConfig
from lesionlite.train.data.folders import find_named, sentences
from lesionlite.train.data.prepare import PrepareConfig, prepare
from lesionlite.train.recipes import with_changes

TrainingFlags = Annotated[
    dict[str, Any], OmitArgPrefixes, arg(constructor_factory=partial(given_flags, TrainConfig))
]
"""The training flags that the user gave. The recipe (`--recipe`) sets all others."""


def no_flags() -> dict[str, Any]:
    """The value of `TrainingFlags` if no flag was given: the switches at their defaults."""
    return switches(TrainConfig)


def training_of(flags: Mapping[str, Any], default: str = "paper") -> TrainConfig:
    """The settings that training flags ask for.

    Args:
        flags: see `TrainingFlags`.
        default: the recipe if `flags` names none.

    Raises:
        LesionliteError: there is no such recipe, or a setting cannot work.
    """
    return with_changes(flags.get("recipe", default), flags)


def named_images(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The image files among `paths` and below its folders; prints what is left out.

    Raises:
        LesionliteError: there is no image.
    """
    found = find_named(paths)
    for sentence in sentences(found.left_out, "images"):
        say(sentence)
    return found.files


@dataclass(frozen=True)
class Prepare:
    """Merge raw HAM10000, ISIC 2019 and MSLD v2.0 into one ImageFolder of the paper's classes.

    All images of a lesion or patient go into one split, and each split gets its share of each
    class. Also reads Kaggle's merge of ISIC 2019 and MSLD v2.0, and splits it again.
    """

    config: OmitArgPrefixes[PrepareConfig]
    json: Json = False

    def run(self) -> Outcome:
        """Prepare, and print the notes and the number of images per split."""
        summary = prepare(self.config)
        for sentence in summary.sentences():
            say(sentence)
        for split, counts in summary.counts.items():
            say(f"{split}: {sum(counts.values())} images")
        say(f"data: {summary.out}")
        say(f"next: lesionlite build {summary.out} --out dist/skin")
        return {"out": str(summary.out), "counts": summary.counts, "empty": summary.empty}, 0


@dataclass(frozen=True)
class Audit:
    """Look for lesions, patients and near-duplicates in two splits; exits with 1 if any.

    Near-duplicates are found by perceptual hash, also if mirrored or rotated by quarter turns, but
    not if cropped.
    """

    data: Positional[Path]
    """Data folder with train/, val/ and (optionally) test/."""
    groups: Path | None = None
    """CSV with a column image (or image_id) and a column group (or lesion_id, patient_id); by
    default the split.csv that `prepare` leaves in the folder."""
    out: Path | None = None
    """CSV file to write all of them to."""
    skip_bad: bool = False
    """Leave out images that cannot be decoded, instead of stopping."""
    json: Json = False

    def run(self) -> Outcome:
        """Audit, and print the first leaks and a summary."""
        from lesionlite.train.data.audit import audit, decode_all
        from lesionlite.train.data.audit_csv import refuse_list_place, write_csv
        from lesionlite.train.data.splits import read_dataset

        if self.out is not None:
            refuse_list_place(self.out, self.data, self.groups)
        dataset, signatures, _ = decode_all(read_dataset(self.data), self.skip_bad)
        found = audit(self.data, dataset, signatures, self.groups)
        for leak in found.leaks[:SHOWN]:
            say(f"{leak.image}  like  {leak.like}  ({leak.reason})")
        if len(found.leaks) > SHOWN:
            say(f"and {len(found.leaks) - SHOWN} more; --out FILE.csv or --json lists all")
        say(found.sentence())
        if self.out is not None:
            write_csv(found, self.out)
            say(f"list: {self.out}")
        say(f"next: lesionlite train {self.data} --out RUN")
        return found.document(), 1 if found.leaks else 0


@dataclass(frozen=True)
class Train:
    """Train a classifier on a data folder and keep the best checkpoint in a run folder."""

    data: Positional[Path]
    """Folder with train/, val/ and (optionally) test/, each with one folder per class."""
    out: Path
    """Run folder to write: weights, contract.json, train.json, metrics.jsonl, curves.png."""
    resume: bool = False
    """Continue an interrupted run in --out."""
    RARE_FLAGS = RARE_FLAGS
    training: TrainingFlags = field(default_factory=no_flags)
    json: Json = False

    @property
    def config(self) -> TrainConfig:
        """The settings that the flags ask for."""
        return training_of(self.training)

    def run(self) -> Outcome:
        """Train, and print the scores on the test split if there is one."""
        from lesionlite.metrics import score_table
        from lesionlite.train.results import train_and_test

        result, scores = train_and_test(self.data, self.out, self.config, self.resume)
        if scores is not None:
            say(score_table(scores, f"test split, {scores.images} images"))
        say(f"run: {self.out}")
        say(f"next: lesionlite build {self.data} --run {self.out} --out dist/skin")
        document = {
            "run": str(self.out),
            "epochs_run": result.epochs_run,
            "best_val_weighted_f1": result.best_val_weighted_f1,
            "skipped": result.skipped,
            "test": asdict(scores) if scores else None,
        }
        return document, 0


@dataclass(frozen=True)
class Adjust:
    """Choose for how frequent classes a run answers: weighted F1 against recall of the rare.

    This changes the run's contract and not its weights; `--tau 0` takes it back. Files that were
    exported before must be exported again.
    """

    run_folder: Positional[Path]
    """Run folder that `lesionlite train` wrote."""
    data: Positional[Path]
    """Data folder, whose val/ decides."""
    config: OmitArgPrefixes[AdjustConfig] = field(default_factory=AdjustConfig)
    json: Json = False

    def run(self) -> Outcome:
        """Adjust, and print what the operating points give."""
        from lesionlite.train.calibrate.adjust import adjust

        run = self.run_folder
        found = adjust(run, self.data, self.config)
        say(found.table())
        say(f"picture: {run / OPERATING_FIGURE}")
        say(f"next: lesionlite export {run} --data {self.data} --out dist/skin/artifacts")
        return asdict(found), 0


@dataclass(frozen=True)
class Profile:
    """Measure images per second: of the loader, of the training step, and of both together."""

    data: Positional[Path]
    """Folder with train/ and val/, each with one folder per class."""
    RARE_FLAGS = RARE_FLAGS
    training: TrainingFlags = field(default_factory=no_flags)
    json: Json = False

    @property
    def config(self) -> TrainConfig:
        """The settings that the flags ask for."""
        return training_of(self.training)

    def run(self) -> Outcome:
        """Measure, and print the rates."""
        from lesionlite.train.trials.profile import profile

        rates = profile(self.data, self.config)
        say(f"next: lesionlite train {self.data} --out RUN")
        return rates.document(), 0


@dataclass(frozen=True)
class Explain:
    """Draw where in an image a run saw the class it answers (Grad-CAM).

    A hint for people who look for shortcuts in their data (rulers, hair, borders), no diagnosis.
    """

    model: Positional[Path]
    """Run folder; converted files have no gradients."""
    images: Positional[tuple[Path, ...]]
    """Image files, or folders of them."""
    out: Path
    """Folder to write: a picture for each image, and explanations.json."""
    label: str | None = None
    """The class to explain; by default each image's most probable one."""
    layer: str = ""
    """The layer whose activations make the map, e.g. stages.3; by default the last stage with a map
    of 7 x 7 or finer. Maps of earlier layers are finer but say less about classes."""
    json: Json = False

    def run(self) -> Outcome:
        """Explain, and print the answer for each image."""
        from lesionlite.train.explain import explain

        made = explain(self.model, self.images, self.out, self.label, self.layer)
        for row in made[:SHOWN]:
            say(f"{row.image}: {row.label} {row.probability:.3f}")
        if len(made) > SHOWN:
            say(f"and {len(made) - SHOWN} more")
        if disclaimer := Contract.read(self.model / CONTRACT).disclaimer:
            say(disclaimer)
        say(f"pictures: {self.out}")
        say(f"next: lesionlite predict {self.model} IMAGE")
        return {"out": str(self.out), "images": [asdict(row) for row in made]}, 0
