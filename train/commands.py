"""`lesionlite prepare` and `lesionlite train`. A command is a dataclass of flags that can `run`."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Protocol

from tyro.conf import OmitArgPrefixes, Positional, arg

from train.config import TrainConfig, demo
from train.console import say
from train.prepare import PrepareConfig, prepare

Outcome = tuple[dict[str, Any], int]
"""The document that --json prints, and the exit code."""


class Command(Protocol):
    """What the command line makes of its flags."""

    @property
    def json(self) -> bool:
        """Whether to print the document."""

    def run(self) -> Outcome:
        """Do it."""


_defaults = {"training": TrainConfig()}


def default_training() -> TrainConfig:
    """What the training flags default to; see `take_demo_defaults`."""
    return _defaults["training"]


def take_demo_defaults(on: bool) -> None:
    """Let the training flags default to the demo's settings, for a build on drawn images.

    Whether a build has a data folder is known only after parsing, so such a command line is parsed
    once more with the other defaults; flags that the user gave win either way.
    """
    _defaults["training"] = demo() if on else TrainConfig()


Json = Annotated[bool, arg(help="Print one JSON document on standard output, words on the other.")]


@dataclass(frozen=True)
class Prepare:
    """Merge raw HAM10000, ISIC 2019 and MSLD v2.0 into one ImageFolder of the paper's classes.

    Splits are by lesion or patient, so that none is on both sides, and stratified by class.
    """

    config: OmitArgPrefixes[PrepareConfig]
    json: Json = False

    def run(self) -> Outcome:
        """Prepare, and say what must be known of the result."""
        summary = prepare(self.config)
        for sentence in summary.sentences():
            say(sentence)
        for split, counts in summary.counts.items():
            say(f"{split}: {sum(counts.values())} images")
        say(f"data: {summary.out}")
        say(f"next: lesionlite build {summary.out} --out dist/skin")
        return {"out": str(summary.out), "counts": summary.counts, "empty": summary.empty}, 0


@dataclass(frozen=True)
class Train:
    """Train a classifier on a data folder and keep the best checkpoint in a run folder."""

    data: Positional[Path]
    """Folder with train/, val/ and (optionally) test/, each with one folder per class."""
    out: Path
    """Run folder to write: weights, contract.json, train.json, metrics.jsonl, curves.png."""
    resume: bool = False
    """Go on with an interrupted run in --out."""
    config: OmitArgPrefixes[TrainConfig] = field(default_factory=default_training)
    json: Json = False

    def run(self) -> Outcome:
        """Train, and show the table of the test split if there is one."""
        from train.metrics import score_table
        from train.results import train_and_test

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
