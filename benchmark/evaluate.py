"""Score any run or artifact on any folder of class folders, from its own contract alone."""

from pathlib import Path

import numpy as np

from benchmark.predictor import Predictor, load
from benchmark.run import evaluation_split
from train.data import read_domains
from train.images import decode
from train.metrics import Scores, score


def evaluate(
    path: Path, folder: Path, threads: int = 2, skip_bad: bool = False
) -> tuple[Scores, Predictor]:
    """Predict every image below `folder` and score the answers.

    Args:
        path: run folder or artifact.
        folder: class folders (a subset of the model's classes will do), or a data folder whose
            test/ (else val/) is used.
        threads: that the runtime may use.
        skip_bad: leave out images that cannot be decoded instead of stopping.

    Returns:
        The scores, and what was opened.

    Raises:
        LesionliteError: nothing to open, no images, or classes that the model does not know.
    """
    predictor = load(path, threads)
    domains = read_domains(folder)
    split = evaluation_split(folder, predictor.contract, skip_bad)
    inputs = decode(split.files, predictor.contract)
    probabilities = predictor.predict_inputs(inputs, len(split), "predicting")
    truth = np.asarray(split.targets)
    return score(probabilities, truth, predictor.contract.labels, domains), predictor
