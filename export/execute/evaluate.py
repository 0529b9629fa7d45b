"""Score a run or an artifact on a folder of class folders; no other file is needed."""

from dataclasses import replace
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
        folder: has class folders for some or all of the model's classes. If it is a data folder,
            its test/ is used, or val/ if there is no test/.
        threads: the number of threads that the runtime may use.
        skip_bad: leave out images that cannot be decoded, instead of stopping.
        out: folder that the caller will write results to; it is checked before any work.

    Returns:
        The scores, and the predictor.

    Raises:
        LesionliteError: there is no model or no image, a class is unknown to the model, or `out`
            holds a file of the user's.
    """
    if out is not None:
        with writing_into(out, model=path, FOLDER=folder):
            for name in RESULTS:
                refuse_foreign(out / name)
    predictor = load(path, threads)
    domains = read_domains(folder)
    split = evaluation_split(folder, predictor.contract.labels, skip_bad)
    inputs = decode(split.files, predictor.contract)
    found = predictor.answer_inputs(inputs, len(split), "predicting")
    truth, labels = np.asarray(split.targets), predictor.contract.labels
    scores = score(found.probabilities, truth, labels, domains, found.rejected)
    return replace(scores, split=split.name), predictor
