from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from lesionlite.errors import LesionliteError
from lesionlite.layout import WEIGHTS
from lesionlite.train.devices.ranks import Ranks
from lesionlite.train.fit import fit
from lesionlite.train.objective import mixup
from lesionlite.train.objective.loss import Loss
from lesionlite.train.objective.mixup import Mixture, draw_mixture
from lesionlite.train.recipes import recipe
from tests.conftest import TINY


def test_images_and_labels_are_mixed_alike() -> None:
    pixels = torch.tensor([0, 100, 200], dtype=torch.uint8).view(3, 1, 1, 1)
    targets = torch.tensor([0, 1, 2])
    mixture = Mixture(0.8, torch.tensor([2, 1, 0]))
    assert mixture.images(pixels).flatten().tolist() == [40, 100, 160]
    logits = torch.randn(3, 3)
    mixed = F.one_hot(targets, 3) * 0.8 + F.one_hot(targets.flip(0), 3) * 0.2  # soft labels
    _, value = Loss(replace(TINY, imbalance="none"), [1, 1, 1], torch.device("cpu"))(
        logits, mixture.targets(targets), pixels
    )
    assert value == pytest.approx(float(F.cross_entropy(logits, mixed)), abs=1e-6)


def test_shares_come_from_the_beta_distribution() -> None:
    torch.manual_seed(0)
    drawn = [draw_mixture(5, 0.2) for _ in range(2000)]
    shares = torch.tensor([one.share for one in drawn])
    # Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2 a + 1)).
    assert abs(float(shares.mean()) - 0.5) < 0.03
    assert abs(float(shares.var()) - 1 / 5.6) < 0.01
    partners = [one.partners for one in drawn if one.partners is not None]
    assert len(partners) == 2000
    assert all(sorted(order.tolist()) == list(range(5)) for order in partners)


def test_all_processes_have_the_first_ones_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixup, "gather", lambda ranks, own: [0.25, own])
    assert draw_mixture(5, 0.2, Ranks(1, 2)).share == 0.25


def test_without_it_nothing_is_drawn() -> None:
    before = torch.get_rng_state()
    assert draw_mixture(5, 0.0) == Mixture()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.slow
def test_it_changes_a_training_and_repeats(drawn: Path, tmp_path: Path) -> None:
    short = replace(TINY, side=32, batch=32, epochs=1)
    weights = []
    for name, alpha in (("none", 0.0), ("one", 0.2), ("two", 0.2)):
        fit(drawn, tmp_path / name, replace(short, mixup=alpha))
        weights.append((tmp_path / name / WEIGHTS).read_bytes())
    assert weights[0] != weights[1] == weights[2]


def test_a_wrong_share_is_refused() -> None:
    with pytest.raises(LesionliteError, match="--mixup is -0.1; it must be from 0 to 100"):
        replace(recipe("paper"), mixup=-0.1)
