"""Tolerances and packages are stated once: help and toolchains follow the tables of the code."""

import re

import pytest

from lesionlite import cli
from lesionlite.benchmark.config import defaults_by_precision
from lesionlite.export.formats import FORMATS
from lesionlite.export.precision import PRECISIONS
from lesionlite.export.toolchains import TOOLCHAINS


@pytest.mark.parametrize("gate", ["max_f1_loss", "min_agreement", "max_mean_dp"])
def test_help_names_every_precisions_default(gate: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = defaults_by_precision(gate)
    for name, precision in PRECISIONS.items():
        parts = [part for part in said.split("; ") if re.search(rf"\b{name}\b", part)]
        assert [float(part.split(" ")[0]) for part in parts] == [getattr(precision, gate)]
    assert cli.main(["benchmark", "--help"]) == 0
    assert said in re.sub(r"[│\s]+", " ", capsys.readouterr().out)


def test_a_build_notices_every_package_that_decides_bytes() -> None:
    needed = {package for row in FORMATS.values() for package in row.packages}
    assert needed | {"torch", "torchvision", "timm", "numpy", "pillow"} <= set(TOOLCHAINS)
    assert len(set(TOOLCHAINS)) == len(TOOLCHAINS)
