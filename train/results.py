"""Score a network on labelled images, and write the scores beside it."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from scipy.special import softmax

from lesionlite.console import say
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.files import write_json
from lesionlite.layout import (
    CONFUSION,
    CURVES,
    LOSS_WEIGHTS,
    METRICS,
    RELIABILITY,
    SCORES,
    read_settings,
)
from lesionlite.metrics import Scores, score
from lesionlite.outputs import writing_into
from lesionlite.tables import Table, class_table, overall_table, write_tables
from lesionlite.train.calibrate.prior import training_beta, training_counts
from lesionlite.train.calibrate.rejection import rejections
from lesionlite.train.config import TrainConfig
from lesionlite.train.data.images import Pixels, load_inputs
from lesionlite.train.data.splits import (
    SPLITS,
    Domains,
    Split,
    drop_bad,
    read_dataset,
    read_split,
)
from lesionlite.train.data.statistics import image_statistics
from lesionlite.train.devices.ranks import process_group
from lesionlite.train.figures import draw_confusion, draw_curves, draw_reliability, draw_weights
from lesionlite.train.fit import TrainResult, fit
from lesionlite.train.history import read_history
from lesionlite.train.model import all_logits, calibrated, load_run

Read = Callable[[Split, Contract], Pixels]


def read_pixels(split: Split, contract: Contract) -> Pixels:
    """The images of a split as the network takes them, uint8 [N, S, S, 3]."""
    return load_inputs(split.files, contract, "reading test images")


def train_and_test(
    data: Path, run: Path, config: TrainConfig, resume: bool = False, read: Read = read_pixels
) -> tuple[TrainResult, Scores | None]:
    """Train (see `fit`), then score the best checkpoint on the test split if there is one.

    Processes that torchrun started share the training; only the first one has scores. `read` gives
    the pixels of the test images: whoever needs them again can keep them.
    """
    with process_group() as ranks:
        result = fit(data, run, config, resume, ranks)
    test = result.dataset.test
    if test is None or not ranks.is_first:
        return result, None
    try:
        with writing_into(run, DATA=data):
            return result, evaluate_run(run, test, result.dataset.domains, read)
    except LesionliteError as error:
        raise LesionliteError(
            f"{run} is trained, but its test split could not be scored: {error}; then "
            f"lesionlite evaluate {run} {data} scores it"
        ) from error


def score_test_split(
    data: Path, run: Path, skip_bad: bool, read: Read = read_pixels
) -> Scores | None:
    """Score a run on a data folder's test split; None if it has none.

    With `skip_bad`, images that cannot be decoded are left out.
    """
    dataset = read_dataset(data)
    if dataset.test is None:
        return None
    (test,), _ = drop_bad([dataset.test], skip_bad)
    with writing_into(run, DATA=data):
        return evaluate_run(run, test, dataset.domains, read)


def evaluate_run(run: Path, split: Split, domains: Domains, read: Read = read_pixels) -> Scores:
    """Score a run's best checkpoint on `split`; writes test.json and confusion.png into it."""
    network, contract = load_run(run)
    pixels = read(split, contract)
    logits = all_logits(network, pixels, contract, description="testing")
    probabilities = softmax(calibrated(logits, contract), axis=1)
    rejected = None
    if contract.rejection is not None:
        rejected = rejections(contract, image_statistics(pixels), probabilities)
    truth = np.asarray(split.targets)
    scores = score(probabilities, truth, contract.labels, domains, rejected)
    scores = replace(scores, split=split.name)
    for missing in write_scores(run, scores, contract.note):
        say(missing)
    return scores


def write_scores(folder: Path, scores: Scores, note: str) -> list[str]:
    """Write the scores as JSON and their confusion matrix as a picture into `folder`.

    Returns:
        What could not be drawn, and why, a sentence each.
    """
    write_json(folder / SCORES, {"note": note, **asdict(scores)})
    return draw_confusion(scores, note, folder / CONFUSION)


def write_results(
    out: Path, model: Path, folder: Path, scores: Scores, contract: Contract
) -> list[str]:
    """Write all of the paper's tables and figures.

    Args:
        out: folder to write.
        model: what was scored; the curves of a run are drawn, too.
        folder: what it was scored on; its class distribution is the first table.
        scores: what came of it.
        contract: the model's.

    Returns:
        What could not be drawn, and why, a sentence each.
    """
    with writing_into(out, model=model, FOLDER=folder):
        return _write_results(out, model, folder, scores, contract)


def _write_results(
    out: Path, model: Path, folder: Path, scores: Scores, contract: Contract
) -> list[str]:
    history = read_history(model) if model.is_dir() else []
    counts, beta = _training(model, folder, contract.labels)
    missing = write_scores(out, scores, contract.note)
    draw_reliability(scores, contract.note, out / RELIABILITY)
    first = class_distribution(folder, contract.labels)
    write_tables(out, [first, overall_table(scores), class_table(scores)], contract.note)
    if history:
        draw_curves(history, contract.note, out / CURVES)
    else:
        missing.append(f"no {CURVES}: {model} holds no {METRICS}, only a trained run does")
    if counts and any(counts):
        missing += draw_weights(contract.labels, counts, beta, out / LOSS_WEIGHTS)
    else:
        missing.append(
            f"no {LOSS_WEIGHTS}: neither {model} nor {folder} tells how many images were trained on"
        )
    return missing


def _training(model: Path, folder: Path, labels: tuple[str, ...]) -> tuple[list[int] | None, float]:
    """Training images per class, from the run or else from `folder`, and beta."""
    settings = read_settings(model) if model.is_dir() else {}
    beta = training_beta(settings)
    if counts := training_counts(settings, labels):
        return counts, beta
    train = folder / "train"
    return (read_split(train, labels).counts() if train.is_dir() else None), beta


def class_distribution(folder: Path, labels: tuple[str, ...]) -> Table:
    """Table 1: images of each class, in each split of a data folder or in a folder of classes.

    Raises:
        LesionliteError: if there is no image, or a class that `labels` lacks.
    """
    splits = {name: folder / name for name in SPLITS if (folder / name).is_dir()}
    counts = {n: read_split(f, labels).counts() for n, f in (splits or {"images": folder}).items()}
    total = np.sum(list(counts.values()), axis=0)
    every = [*counts.values()] if len(counts) == 1 else [*counts.values(), total.tolist()]
    columns = (*counts,) if len(counts) == 1 else (*counts, "all")
    rows = [
        (label, *(row[index] for row in every), float(total[index] / total.sum()))
        for index, label in enumerate(labels)
    ]
    rows.append(("all", *(sum(row) for row in every), 1.0))
    return Table("table1", "Class distribution", ("class", *columns, "share"), tuple(rows))
