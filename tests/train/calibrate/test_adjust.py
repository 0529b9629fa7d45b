"""`lesionlite adjust`: the contract moves, the weights stay, bad input changes nothing."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lesionlite.cli import main
from lesionlite.contract import Contract
from lesionlite.export.config import ExportConfig
from lesionlite.export.execute.golden import export_with_golden
from lesionlite.export.execute.predictor import load
from lesionlite.files import sha256_file
from lesionlite.layout import CONTRACT, OPERATING, OPERATING_FIGURE, SCORES, SETTINGS, WEIGHTS
from lesionlite.train.calibrate.adjust import adjust
from lesionlite.train.calibrate.config import AdjustConfig
from tests.conftest import TINY


@pytest.fixture
def own(run: Path, tmp_path: Path) -> Path:
    """A run that a test may change."""
    return Path(shutil.copytree(run, tmp_path / "run"))


def contents(folder: Path) -> dict[str, str]:
    return {file.name: sha256_file(file) for file in sorted(folder.iterdir())}


def test_the_contract_moves_and_every_artifact_with_it(
    own: Path, drawn: Path, images: np.ndarray, tmp_path: Path
) -> None:
    before, weights = Contract.read(own / CONTRACT), sha256_file(own / WEIGHTS)
    scores = (own / SCORES).read_text()
    found = adjust(own, drawn, AdjustConfig(tau=0.7))
    after = Contract.read(own / CONTRACT)
    assert sha256_file(own / WEIGHTS) == weights and (own / SCORES).read_text() != scores
    log = {
        name: np.log(np.array(list(getattr(found, name).values()))) for name in ("prior", "target")
    }
    expected = 0.7 * (log["target"] - log["prior"])
    moved = np.array(after.logit_adjustment)
    assert np.abs((moved - expected) - (moved - expected).mean()).max() < 1e-5
    assert after.prior == before.prior and np.abs(moved).max() > 0.05
    assert json.loads((own / OPERATING).read_text())["chosen"]["tau"] == 0.7
    assert (own / OPERATING_FIGURE).read_bytes()[1:4] == b"PNG"
    out = tmp_path / "artifacts"
    (file,) = export_with_golden(own, out, ExportConfig(("onnx",), ("fp32",)))
    run, artifact = load(own), load(out / file.artifact)
    for image in images[:4]:
        np.testing.assert_allclose(
            artifact.runner.classify(image), run.runner.classify(image), atol=1e-4
        )


def test_tau_zero_takes_it_back(own: Path, drawn: Path) -> None:
    before = Contract.read(own / CONTRACT)
    adjust(own, drawn, AdjustConfig(target_prior="uniform", tau=1))
    assert Contract.read(own / CONTRACT) != before
    adjust(own, drawn, AdjustConfig(tau=0, false_rejections=TINY.false_rejections))
    after = Contract.read(own / CONTRACT)
    assert before.rejection is not None and after.rejection is not None
    least = pytest.approx(before.rejection.reject_above, rel=1e-3)  # threads round differently
    assert after.rejection.reject_above == least
    assert replace(after, rejection=None) == replace(before, rejection=None)


def test_a_run_of_an_older_version_has_its_prior_from_its_settings(own: Path, drawn: Path) -> None:
    document = json.loads((own / CONTRACT).read_text())
    prior = document.pop("prior")
    (own / CONTRACT).write_text(json.dumps(document))
    assert list(adjust(own, drawn, AdjustConfig()).prior.values()) == pytest.approx(prior)
    (own / CONTRACT).write_text(json.dumps(document))
    settings = json.loads((own / SETTINGS).read_text())
    for counts in (None, dict.fromkeys(settings["counts"], 0)):
        (own / SETTINGS).write_text(json.dumps({**settings, "counts": counts}))
        assert main(["adjust", str(own), str(drawn)]) == 2


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--min-recall", "Healty=0.5"], "did you mean 'Healthy'"),
        (["--min-recall", "Healthy"], "LABEL=RECALL"),
        (["--min-recall", "Healthy=1.5"], "from 0 to 1"),
        (["--min-recall", "Healthy=0.1", "Healthy=0.2"], "names Healthy twice"),
        (["--min-recall", "Healthy=1", "Melanoma=1", "Measles=1"], "no operating point keeps"),
        (["--min-recall", "Healthy=0.5", "--tau", "1"], "left out if --tau is given"),
        (["--target-prior", "datta"], "did you mean 'data'"),
        (["--tau", "9"], "from -5 to 5"),
        (["--coverage", "0"], "above 0"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    own: Path, drawn: Path, flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(own)
    assert main(["adjust", str(own), str(drawn), *flags]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert contents(own) == before


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"Healthy": 1.0}, "is missing; the labels are"),
        ({"Melanom": 1.0}, "one share for each label"),
        ("text", "write {"),
    ],
)
def test_a_file_of_shares_must_fit(
    own: Path,
    drawn: Path,
    tmp_path: Path,
    shares: object,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "prior.json"
    file.write_text(json.dumps(shares))
    assert main(["adjust", str(own), str(drawn), "--target-prior", str(file)]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_file_of_the_user_is_not_overwritten(own: Path, drawn: Path) -> None:
    (own / OPERATING).write_text("mine")
    assert main(["adjust", str(own), str(drawn)]) == 2
    assert (own / OPERATING).read_text() == "mine"
