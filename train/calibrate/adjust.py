"""Choose a run's operating point: for how frequent classes it answers.

Training that favours rare classes makes a network answer as if they were frequent. The logit
adjustment tau * log(target prior / training's prior) moves the answers to the prior of those who
use the network, without new training: wholly with tau 1, partly with less (Menon et al. 2021, arXiv
2007.07314, eq. 9). Weighted F1 and the recall of rare classes pull in opposite directions, so tau
is chosen on validation images, under floors for the recall of classes that must not be missed.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lesionlite.console import say
from lesionlite.files import write_json, write_text
from lesionlite.layout import (
    CONTRACT,
    OPERATING,
    OPERATING_FIGURE,
    SCORES,
    SETTINGS,
    read_settings,
)
from lesionlite.outputs import is_ours, refuse_foreign, remove, writing_into
from lesionlite.tables import terminal_table
from lesionlite.train.calibrate.calibrate import calibrate
from lesionlite.train.calibrate.config import AdjustConfig
from lesionlite.train.calibrate.operating_figure import draw_operating_points
from lesionlite.train.calibrate.operating_point import (
    Answers,
    OperatingPoint,
    curve,
    operating_point,
    predictions,
    read_floors,
    table_of,
)
from lesionlite.train.calibrate.prior import log_ratio, target_prior, trained_prior
from lesionlite.train.data.images import load_inputs
from lesionlite.train.data.splits import drop_bad, read_domains, read_split
from lesionlite.train.model import all_logits, load_run
from lesionlite.train.results import score_test_split

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Adjustment:
    """The operating points of a run, and the one that was taken.

    Attributes:
        chosen: the operating point that the contract has now.
        points: all that were compared, by rising tau.
        prior: training's, by label.
        target: the prior that tau 1 answers for, by label.
        images: number of validation images.
        floors: of recall, by label.
    """

    chosen: OperatingPoint
    points: tuple[OperatingPoint, ...]
    prior: dict[str, float]
    target: dict[str, float]
    images: int
    floors: dict[str, float]

    def table(self) -> "Table":
        """A terminal table of some operating points; an arrow marks the one that was taken."""
        columns, rows = table_of(self.points, self.chosen, self.floors, lambda tau: f"-> {tau}")
        title = f"operating points, {self.images} validation images"
        return terminal_table(columns, rows, words=0, title=title)


def adjust(run: Path, data: Path, config: AdjustConfig) -> Adjustment:
    """Choose a run's operating point on validation images, and write it into its contract.

    The weights stay as they are, and tau 0 restores the answers that training gave. Temperature and
    threshold are fitted anew, and the test images are scored again if they were before.

    Args:
        run: a finished run.
        data: data folder with val/.
        config: how to choose.

    Raises:
        LesionliteError: no run, no validation images, a prior or floor of a class that the run
            lacks, or no operating point has the recall that is asked for.
    """
    with writing_into(run, DATA=data):
        for name in (OPERATING, OPERATING_FIGURE):
            refuse_foreign(run / name)
        network, contract = load_run(run)
        settings = read_settings(run)
        prior = trained_prior(run, settings, contract)
        target = target_prior(config.target_prior, run, settings, contract.labels)
        (split,), _ = drop_bad([read_split(data / "val", contract.labels)], config.skip_bad)
        floors, domains = read_floors(config.min_recall, split), read_domains(data)
        pixels = load_inputs(split.files, contract, "reading validation")
        logits = all_logits(network, pixels, contract, description="answering")
        answers = Answers(logits, np.asarray(split.targets), contract.labels)
        direction = log_ratio(target, prior)
        found_curve = curve(answers, direction)
        points = found_curve.points
        if config.tau is None:
            chosen = found_curve.choose(config.metric, floors)
        else:
            predicted = predictions(answers, direction, config.tau)
            chosen = operating_point(answers, config.tau, predicted)
        before, after = (dict(zip(contract.labels, s, strict=True)) for s in (prior, target))
        found = Adjustment(chosen, points, before, after, len(split), floors)
        shift = (chosen.tau * direction).round(6)
        adjustment = tuple(shift.tolist()) if shift.any() else ()
        adjusted = replace(contract, prior=tuple(prior), logit_adjustment=adjustment)
        fitted = calibrate(network, adjusted, pixels, logits, answers.truth, config, domains)
        write_json(run / OPERATING, asdict(found))
        draw_operating_points(points, chosen.tau, floors, run / OPERATING_FIGURE)
        write_json(run / SETTINGS, {**settings, **fitted.document()})
        write_text(run / CONTRACT, fitted.contract.to_json())
        _score_again(run, data, config.skip_bad)
    return found


def _score_again(run: Path, data: Path, skip_bad: bool) -> None:
    """Replace the scores of the test images, which are those of the operating point before."""
    if not (run / SCORES).exists() or score_test_split(data, run, skip_bad) is not None:
        return
    if is_ours(run / SCORES):
        remove(run / SCORES)
        say(f"{run / SCORES} is deleted: {data} has no test images to score again")
