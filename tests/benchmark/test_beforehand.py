from pathlib import Path

import pytest

from lesionlite.benchmark.beforehand import refuse_beforehand, refuse_images
from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.errors import LesionliteError
from lesionlite.train.data.splits import Split

NAMES = {"m-fp32.onnx": "fp32", "m-w4.mlpackage": "w4"}


def images(number: int) -> Split:
    """So many, all of class a; of class b there is none."""
    return Split(tuple(Path(f"{i}.png") for i in range(number)), (0,) * number, ("a", "b"))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (BenchmarkConfig(allow_unverified=("m-fp16.onnx",)), "no artifact .* choose from: m-fp32"),
        (BenchmarkConfig(arm=("cortex-a1",)), "no Arm core 'cortex-a1'"),
        (BenchmarkConfig(android=Path("nothing")), "there is no nothing; --android takes"),
    ],
)
def test_what_is_not_there_is_refused(config: BenchmarkConfig, said: str) -> None:
    assert refuse_beforehand(BenchmarkConfig(allow_unverified=("m-fp32.onnx",)), NAMES) == ""
    with pytest.raises(LesionliteError, match=said):
        refuse_beforehand(config, NAMES)


def test_gates_of_classes_that_are_not_there_are_refused() -> None:
    refuse_images(BenchmarkConfig(min_recall=("a=-0.1",)), NAMES, images(3))
    with pytest.raises(LesionliteError, match="no class 'c'"):
        refuse_images(BenchmarkConfig(min_recall=("c=-0.1",)), NAMES, images(3))
    with pytest.raises(LesionliteError, match="--min-recall b: no test image is of that class"):
        refuse_images(BenchmarkConfig(min_recall=("b=-0.1",)), NAMES, images(3))


def test_too_few_images_are_refused_where_asked() -> None:
    refuse_images(BenchmarkConfig(), NAMES, images(1))
    with pytest.raises(LesionliteError, match="--strict: 1 test image is too few .* 1000 or more"):
        refuse_images(BenchmarkConfig(strict=True), NAMES, images(1))
    refuse_images(BenchmarkConfig(strict=True), NAMES, images(1000))
    refuse_images(BenchmarkConfig(strict=True, min_agreement=0.9), NAMES, images(10))
