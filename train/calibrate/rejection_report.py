"""Measure a rejection: which images of other kinds it finds, and which of the kind it loses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesionlite.console import track
from lesionlite.contract import Contract
from lesionlite.rejection import Rejection
from lesionlite.train.calibrate.rejection import Described, fit_rejection, squared_distances
from lesionlite.train.calibrate.strangers import draw_strangers
from lesionlite.train.data.images import Pixels
from lesionlite.train.data.splits import Domains
from lesionlite.train.data.statistics import image_statistics

Answer = Callable[[Pixels], NDArray[np.floating]]
STRANGERS = 120  # of each kind


@dataclass(frozen=True)
class Found:
    """How well images of another kind are told from those of the kind.

    Attributes:
        images: number of the images of the other kind.
        auroc: area under the ROC curve of the distance, against the validation images.
        rejected: share of the images of the other kind.
    """

    images: int
    auroc: float
    rejected: float


@dataclass(frozen=True)
class RejectionReport:
    """A rejection, measured on validation images and on drawn ones.

    Attributes:
        images: number of validation images.
        false_rejections: share of them that is rejected by what was fitted to the others.
        by_class: the same for each class that has images.
        others: images of other kinds, by kind.
        left_out: each class, and each domain if there are two or more, by name: found among the
            validation images as if the network had no outputs for it, and the rejection was fitted
            to the rest.
    """

    images: int
    false_rejections: float
    by_class: dict[str, float]
    others: dict[str, Found]
    left_out: dict[str, Found]

    def sentence(self) -> str:
        """A summary to print."""
        found = ", ".join(f"{one.rejected:.0%} of {name}" for name, one in self.others.items())
        return (
            f'"not this kind of image" for {found}, and for {self.false_rejections:.1%} of the '
            "validation images"
        )

    def document(self) -> dict[str, Any]:
        """The fields for `train.json`."""
        return asdict(self)


def fit_and_measure(
    pixels: Pixels,
    logits: NDArray[np.floating],
    truth: NDArray[np.int64],
    contract: Contract,
    answer: Answer,
    false_rejections: float,
    domains: Domains,
) -> tuple[Rejection, RejectionReport] | None:
    """Fit a rejection to validation images, and measure it.

    Args:
        pixels: uint8 [N, S, S, 3].
        logits: calibrated ones, [N, C].
        truth: class indices, int64 [N].
        contract: of the network.
        answer: the calibrated logits [M, C] of other images, uint8 [M, S, S, 3].
        false_rejections: the share of images of the kind that may be rejected.
        domains: classes by domain.

    Returns:
        None if nothing can be fitted; see `fit_rejection`.
    """
    images = Described(logits, image_statistics(pixels), truth)
    rejection = fit_rejection(images, false_rejections)
    if rejection is None:
        return None
    lost = images.out_of_fold > rejection.reject_above
    strangers = draw_strangers(pixels, contract, STRANGERS)
    nothing = np.zeros(STRANGERS, np.int64)
    others = {
        name: _found(rejection, images, Described(answer(x), image_statistics(x), nothing))
        for name, x in strangers.items()
    }
    present = [index for index in range(len(contract.labels)) if (truth == index).any()]
    by_class = {contract.labels[index]: float(lost[truth == index].mean()) for index in present}
    report = RejectionReport(
        images=len(truth),
        false_rejections=float(lost.mean()),
        by_class=by_class,
        others=others,
        left_out=_left_out(images, contract.labels, domains, false_rejections),
    )
    return rejection, report


def _found(rejection: Rejection, of_the_kind: Described, others: Described) -> Found:
    from sklearn.metrics import roc_auc_score

    distances = squared_distances(rejection, others.numbers)
    is_other = np.repeat([0, 1], [len(of_the_kind.truth), len(distances)])
    auroc = float(roc_auc_score(is_other, np.concatenate([of_the_kind.out_of_fold, distances])))
    rejected = float((distances > rejection.reject_above).mean())
    return Found(len(distances), auroc, rejected)


def _left_out(
    images: Described, labels: Sequence[str], domains: Mapping[str, Sequence[str]], share: float
) -> dict[str, Found]:
    parts = {label: [index] for index, label in enumerate(labels)}
    if len(domains) > 1:
        parts |= {
            name: [index for index, label in enumerate(labels) if label in of]
            for name, of in domains.items()
        }
    found = {}
    for name, classes in track(parts.items(), "each class left out", len(parts)):
        left = np.isin(images.truth, classes)
        rest = images.without(classes)
        if left.any() and not left.all():
            kept = rest.where(~left)
            if rejection := fit_rejection(kept, share):
                found[name] = _found(rejection, kept, rest.where(left))
    return found
