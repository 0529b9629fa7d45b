"""Score any run or artifact on any folder of class folders, from its own contract alone."""

from pathlib import Path

import numpy as np

from lesionlite.export.execute.predictor import Predictor, load
from lesionlite.layout import (
    CONFUSION,
    CURVES,
    LOSS_WEIGHTS,
    RELIABILITY,
    SCORES,
    TABLES,
    TABLES_JSON,
)
from lesionlite.metrics import Scores, score
from lesionlite.outputs import refuse_foreign, writing_into
from lesionlite.train.data.images import decode
from lesionlite.train.data.splits import evaluation_split, read_domains

RESULTS = (SCORES, CONFUSION, CURVES, RELIABILITY, LOSS_WEIGHTS, TABLES, TABLES_JSON)


def evaluate(
    path: Path,
    folder: Path,
    threads: int = 2,
    skip_bad: bool = False,
    out: Path | None = None,
) -> tuple[Scores, Predictor]:
    """Predict every image below `folder` and score the answers.

    Args:
        path: run folder or artifact.
        folder: class folders (a subset of the model's classes will do), or a data folder whose
            test/ (else val/) is used.
        threads: that the runtime may use.
        skip_bad: leave out images that cannot be decoded instead of stopping.
        out: folder that the results will be written to; what forbids it is said before the work.

    Returns:
        The scores, and what was opened.

    Raises:
        LesionliteError: nothing to open, no images, or classes that the model does not know.
    """
    if out is not None:
        with writing_into(out, model=path, FOLDER=folder):
            for name in RESULTS:
                refuse_foreign(out / name)
    predictor = load(path, threads)
    domains = read_domains(folder)
    split = evaluation_split(folder, predictor.contract.labels, skip_bad)
    inputs = decode(split.files, predictor.contract)
    probabilities = predictor.predict_inputs(inputs, len(split), "predicting")
    truth = np.asarray(split.targets)
    return score(probabilities, truth, predictor.contract.labels, domains), predictor
