"""The head fitted anew, on features that stay as they are."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.layout import CONTRACT, SETTINGS, WEIGHTS
from lesionlite.train import finish
from lesionlite.train.data.images import load_inputs
from lesionlite.train.data.splits import read_dataset
from lesionlite.train.fit import fit
from lesionlite.train.model import load_run
from lesionlite.train.networks import build_network
from lesionlite.train.objective.imbalance import effective_prior
from lesionlite.train.objective.refit import fit_head, head_of, refit_head
from tests.conftest import TINY

SHORT = replace(TINY, side=32, batch=32, imbalance="refit")


def test_the_head_is_a_weighted_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    features = rng.normal(size=(300, 5)) * [1, 2, 0.5, 10, 1] + 3 + truth[:, None] * [1, 0, 1, 0, 0]
    weights = np.array([1.0, 2.0, 0.5])[truth]
    penalty = 0.01
    weight, bias = fit_head(
        torch.tensor(features, dtype=torch.float32),
        torch.tensor(truth),
        torch.tensor(weights),
        3,
        penalty,
    )
    scaled = (features - features.mean(0)) / features.std(0, ddof=1)
    wanted = LogisticRegression(C=1 / (penalty * weights.sum()), tol=1e-10, max_iter=10_000)
    wanted.fit(scaled, truth, weights)
    mine = torch.softmax(torch.tensor(features).float() @ weight.T + bias, 1).numpy()
    assert np.abs(mine - wanted.predict_proba(scaled)).max() < 1e-3


@pytest.fixture(scope="module")
def refitted(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("refit") / "run"
    fit(drawn, run, SHORT)
    return run


def test_only_the_head_differs_from_the_network_that_was_trained(
    refitted: Path, drawn: Path, tmp_path: Path
) -> None:
    fit(drawn, tmp_path / "sampler", replace(SHORT, imbalance="sampler"))
    new, old = (load_file(run / WEIGHTS) for run in (refitted, tmp_path / "sampler"))
    changed = {key for key in new if not torch.equal(new[key], old[key])}
    assert changed == {"head.fc.weight", "head.fc.bias"}
    data, contract = read_dataset(drawn), Contract.read(refitted / CONTRACT)
    assert contract.prior == pytest.approx(effective_prior(data.train.counts(), "dual", 0.999))


def test_begun_again_after_an_interruption_it_gives_the_same(
    refitted: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(finish, "calibrate", interrupt)  # the new head is written
        fit(drawn, tmp_path / "run", SHORT)
    fit(drawn, tmp_path / "run", SHORT, resume=True)
    for name in (WEIGHTS, CONTRACT):
        assert (tmp_path / "run" / name).read_bytes() == (refitted / name).read_bytes(), name


def test_the_run_tells_the_score_of_the_new_head(refitted: Path, drawn: Path) -> None:
    val = read_dataset(drawn).val
    network, contract = load_run(refitted)
    pixels = load_inputs(val.files, contract)
    found = refit_head(network, contract, val, (pixels, val.targets), SHORT)
    assert json.loads((refitted / SETTINGS).read_text())["best_val_weighted_f1"] == pytest.approx(
        found.before
    )
    assert found.after > found.before  # fitted on the very images that it is scored on


def test_a_network_without_one_linear_layer_at_its_end_is_refused(
    drawn: Path, tmp_path: Path
) -> None:
    network = build_network("repvit_m0_9", 3, side=64)
    with pytest.raises(LesionliteError, match=r"the last layer of repvit_m0_9 is a \w+; choose"):
        head_of(network, "repvit_m0_9")
    with pytest.raises(LesionliteError, match="--imbalance refit"):
        fit(drawn, tmp_path / "run", replace(SHORT, model="repvit_m0_9", side=64))
    assert not (tmp_path / "run").exists()
