"""How a contract tells images of another kind from those that the network has learned.

Only the standard library is used, as in `contract.py`; `train/calibrate/rejection.py` has the
arithmetic.
"""

from dataclasses import dataclass

from lesionlite.documents import Mismatch

STATISTICS = 15  # of an image; see `train/data/statistics.py`


@dataclass(frozen=True)
class Rejection:
    """A Gaussian around each class, and how far from all of them an image is of another kind.

    An image is described by D numbers: the logs of its C probabilities, each at least
    `least_probability`, then the statistics of its pixels. They are multiplied by `whitening`, and
    the squared distance to the nearest centre is the squared Mahalanobis distance (Lee et al. 2018,
    arXiv 1807.03888, eq. 2).

    Attributes:
        least_probability: what smaller probabilities count as.
        whitening: [D][D].
        centres: of the classes that validation has images of, whitened, [K][D].
        reject_above: where the squared distance is larger, an app says that the image is of another
            kind.
    """

    least_probability: float
    whitening: tuple[tuple[float, ...], ...]
    centres: tuple[tuple[float, ...], ...]
    reject_above: float

    def __post_init__(self) -> None:
        """Refuse what no app could compute.

        Raises:
            Mismatch: naming the field, its value, and what it may be.
        """
        size = len(self.whitening)
        if not 0 < self.least_probability < 1:
            found = str(self.least_probability)
            raise Mismatch("least_probability", "a number above 0 and below 1", found)
        for name, rows in (("whitening", self.whitening), ("centres", self.centres)):
            lengths = sorted({len(row) for row in rows})
            if lengths != [size]:
                raise Mismatch(name, f"rows of {size} numbers", f"rows of {lengths}")
        if self.reject_above <= 0:
            raise Mismatch("reject_above", "a number above 0", str(self.reject_above))
