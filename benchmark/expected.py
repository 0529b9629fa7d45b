"""How long the stages of a first build will take, roughly.

The figures are seconds, fitted to builds on two cores of an AMD EPYC that computes AVX-512 in
halves, of networks with 1.1 to 17 M parameters at 64 and 128 pixels. Each comes within a fifth.
"""

from lesionlite.benchmark.config import RARE_FLAGS, BenchmarkConfig
from lesionlite.benchmark.peers.limit import multiply_adds
from lesionlite.contract import Contract
from lesionlite.export.config import ExportConfig
from lesionlite.export.formats import FORMATS
from lesionlite.export.side_by_side import most_jobs

CONVERSION = 9.4  # for each file, in one process
OPENING = 2.3  # for each file
TIMING = 1.3  # for each second that a file is timed, with its warm-up
# For 10^9 multiply-adds: a plan at least, each step of tuning, each calibration image; and each
# test image for each file. Networks of k times as many take k ** SIZE times as long.
PLAN, STEP, IMAGE, ANSWER, SIZE = 40, 2, 0.4, 0.02, 0.9
# What takes longer than this module knows, if it is asked for.
MORE_WORK = (
    *RARE_FLAGS["other runtimes and devices"],
    *RARE_FLAGS["other ways to resize"],
    *("sweep", "instructions"),
)


def expected_stages(
    exporting: ExportConfig,
    benchmarking: BenchmarkConfig,
    model: str,
    contract: Contract,
    images: int,
) -> dict[str, float]:
    """How long export and benchmark will take, in seconds, by stage, where that is known.

    Args:
        exporting: Which files to make.
        benchmarking: How long each is timed.
        model: The network's name in timm.
        contract: Has its labels, and the side of its images.
        images: Number of test images.

    Raises:
        LesionliteError: As `build_network`.
    """
    import torch

    from lesionlite.train.networks import build_network

    network = build_network(model, len(contract.labels), side=contract.side).eval()
    products = multiply_adds(network, torch.zeros(1, 3, contract.side, contract.side))
    return expected_seconds(exporting, benchmarking, products, images)


def expected_seconds(
    exporting: ExportConfig, benchmarking: BenchmarkConfig, products: int, images: int
) -> dict[str, float]:
    """As `expected_stages`, of a network whose multiply-adds for one image are known."""
    files, billions = len(exporting.pairs()), (products / 1e9) ** SIZE
    export = CONVERSION * files / most_jobs(exporting.jobs, files)
    if exporting.plans():
        each = PLAN + STEP * exporting.tuning_steps + IMAGE * exporting.calibration
        export += each * billions
    plain = BenchmarkConfig()
    if any(getattr(benchmarking, name) != getattr(plain, name) for name in MORE_WORK):
        return {"export": export}
    timed = 1 + sum(FORMATS[row.name].is_native_here for row, _ in exporting.pairs())
    benchmark = OPENING * files + TIMING * timed * benchmarking.protocol()[1]
    return {"export": export, "benchmark": benchmark + ANSWER * files * images * billions}
