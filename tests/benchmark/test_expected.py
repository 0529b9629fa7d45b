import pytest

from lesionlite.benchmark.config import BenchmarkConfig
from lesionlite.benchmark.expected import expected_seconds, expected_stages
from lesionlite.export.config import ExportConfig
from lesionlite.train.config import TrainConfig
from lesionlite.usage import in_about


@pytest.mark.parametrize(
    ("model", "side", "images", "calibration", "steps", "seconds", "export", "benchmark"),
    [
        ("mobilevitv2_050", 64, 56, 28, 10, 1, 89, 59),
        ("mobilevitv2_050", 128, 1197, 300, 120, 3, 141, 149),
        ("mobilevitv2_100", 128, 276, 100, 120, 1, 223, 101),
        ("mobilevitv2_200", 128, 276, 100, 120, 1, 526, 197),
    ],
)
def test_builds_took_about_what_is_expected(
    model: str,
    side: int,
    images: int,
    calibration: int,
    steps: int,
    seconds: float,
    export: float,
    benchmark: float,
) -> None:
    """Seconds of builds on two cores of an AMD EPYC that computes AVX-512 in halves."""
    labels = tuple("abcdefghijklmn")
    expected = expected_stages(
        ExportConfig(calibration=calibration, tuning_steps=steps, jobs=2),
        BenchmarkConfig(seconds=seconds),
        model,
        TrainConfig(model=model, side=side).contract(labels),
        images,
    )
    assert expected["export"] == pytest.approx(export, rel=0.2)
    assert expected["benchmark"] == pytest.approx(benchmark, rel=0.2)


def test_less_is_expected_of_less() -> None:
    def expected(config: ExportConfig) -> float:
        return expected_seconds(config, BenchmarkConfig(), 10**9, 100)["export"]

    all_of_it = expected(ExportConfig(jobs=2))
    assert expected(ExportConfig(jobs=1)) > all_of_it
    assert expected(ExportConfig(formats=("onnx",), jobs=2)) < all_of_it
    without_plan = ExportConfig(precisions=("fp32",), jobs=2)
    assert expected(without_plan) == expected(ExportConfig(precisions=("fp32",), tuning_steps=0))
    assert "benchmark" not in expected_seconds(
        ExportConfig(), BenchmarkConfig(arm=("cortex-a76",)), 10**9, 100
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(30, "less than a minute"), (100, "about 2 min"), (3700, "about 1:02 h")],
)
def test_a_rough_duration(seconds: float, words: str) -> None:
    assert in_about(seconds) == words
