"""What a network scores on labelled images, written beside it."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from train.confidence import softmax
from train.config import TrainConfig
from train.data import Split, drop_bad, load_inputs, read_dataset
from train.figures import draw_confusion
from train.files import write_json
from train.fit import TrainResult, fit
from train.layout import CONFUSION, SCORES
from train.metrics import Scores, score
from train.model import all_logits, load_run
from train.ranks import joined


def train_and_test(
    data: Path, run: Path, config: TrainConfig, resume: bool = False
) -> tuple[TrainResult, Scores | None]:
    """Train (see `fit`), then score the best checkpoint on the test split if there is one.

    Processes that torchrun started share the training; only the first one has scores.
    """
    with joined() as ranks:
        result = fit(data, run, config, resume, ranks)
    return result, score_test_split(data, run, config) if ranks.is_first else None


def score_test_split(data: Path, run: Path, config: TrainConfig) -> Scores | None:
    """Score a run on a data folder's test split; None if it has none."""
    test = read_dataset(data).test
    if test is None:
        return None
    (test,), _ = drop_bad([test], config.skip_bad)
    return evaluate_run(run, test)


def evaluate_run(run: Path, split: Split) -> Scores:
    """Score a run's best checkpoint on `split`; writes test.json and confusion.png into it."""
    network, contract = load_run(run)
    pixels = load_inputs(split.files, contract, "reading test images")
    logits = all_logits(network, pixels, contract, description="testing") / contract.temperature
    scores = score(softmax(logits), np.asarray(split.targets), contract.labels)
    write_scores(run, scores, contract.note)
    return scores


def write_scores(folder: Path, scores: Scores, note: str) -> None:
    """Write the scores as JSON and their confusion matrix as a picture into `folder`."""
    write_json(folder / SCORES, {"note": note, **asdict(scores)})
    draw_confusion(scores, note, folder / CONFUSION)
