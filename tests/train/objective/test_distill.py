"""A network learns the answers of another run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.layout import CONTRACT
from lesionlite.train import fit as fit_module
from lesionlite.train.fit import fit
from lesionlite.train.model import load_run
from lesionlite.train.objective.distill import Teacher, load_teacher
from lesionlite.train.objective.loss import Loss
from tests.conftest import TINY

SHORT = replace(TINY, side=32, batch=32, epochs=2)
ABC = Contract(("a", "b", "c"), side=32, resize_side=32)
CBA = replace(ABC, labels=("c", "b", "a"))


class Channels(nn.Module):
    """Logits are the means of red, green and blue."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 10 * images.mean((2, 3))


def pixels(side: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (4, 3, side, side), dtype=torch.uint8)


def test_the_teachers_labels_may_be_in_another_order_and_its_images_larger() -> None:
    given = pixels()
    same = Teacher(Channels(), ABC, ABC).logits(given)
    assert torch.allclose(same, given.float().mean((2, 3)) / 25.5)
    assert torch.equal(Teacher(Channels(), CBA, ABC).logits(given), same.flip(1))
    larger = replace(ABC, side=96, resize_side=96)
    assert torch.allclose(Teacher(Channels(), larger, ABC).logits(given), same, atol=0.02)


def test_the_teachers_answers_are_calibrated_and_moved_to_the_students_prior() -> None:
    own = replace(ABC, temperature=2.0, prior=(0.5, 0.25, 0.25))
    student = replace(ABC, prior=(0.25, 0.5, 0.25))
    given = pixels()
    plain = Teacher(Channels(), ABC, student).logits(given)  # whose prior nobody knows
    moved = Teacher(Channels(), own, student).logits(given)
    ratio = torch.tensor([0.5, 2.0, 1.0])
    wanted = torch.softmax(plain / 2, 1) * ratio
    assert torch.allclose(torch.softmax(moved, 1), wanted / wanted.sum(1, keepdim=True), atol=1e-6)


def test_the_loss_is_that_of_labels_and_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(TINY, imbalance="none", teacher="x", teacher_share=0.3)
    teacher = Teacher(Channels(), ABC, ABC)
    logits, targets, given = (
        torch.randn(4, 3, requires_grad=True),
        torch.tensor([0, 1, 2, 0]),
        pixels(),
    )
    of = Loss(config, [1, 1, 1], torch.device("cpu"), teacher)
    loss, value = of(logits, [(1.0, targets)], given)
    hard = -torch.log_softmax(logits, 1)[torch.arange(4), targets].mean()
    p, q = (torch.softmax(each / 2, 1) for each in (teacher.logits(given), logits))
    soft = 4 * (p * (p / q).log()).sum(1).mean()
    assert float(loss.detach()) == pytest.approx(float(0.7 * hard + 0.3 * soft), rel=1e-5)
    assert value == pytest.approx(float(loss.detach()), rel=1e-6)
    loss.backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


@pytest.mark.slow
def test_a_student_of_the_teacher_alone_answers_more_like_it(
    run: Path, drawn: Path, tmp_path: Path
) -> None:
    """The same training, from the same weights, with and without the teacher."""
    config = replace(SHORT, epochs=4, lr=3e-3)
    fit(drawn, tmp_path / "alone", config)
    fit(drawn, tmp_path / "taught", replace(config, teacher=str(run), teacher_share=1.0))
    contract = replace(Contract.read(tmp_path / "taught" / CONTRACT), temperature=1.0)
    teacher = load_teacher(str(run), contract, contract.prior)
    given = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (32, 3, 32, 32), np.uint8))
    apart = {}
    for name in ("alone", "taught"):
        network, _ = load_run(tmp_path / name)
        logits = network((given.float() / 255).contiguous())
        apart[name] = float(teacher.divergence(logits, given, 1.0))
    assert apart["taught"] < apart["alone"]


def test_what_is_no_teacher_is_refused_before_images_are_read(
    run: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(fit_module, "decode_all")

    def said(teacher: Path) -> str:
        with pytest.raises(LesionliteError) as caught:
            fit(drawn, tmp_path / "out", replace(SHORT, teacher=str(teacher)))
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    (tmp_path / "folder").mkdir()
    assert "no run folder" in said(tmp_path / "folder")
    contract = replace(Contract.read(run / CONTRACT), prior=(), rejection=None)
    fewer = replace(contract, labels=contract.labels[1:])
    with pytest.raises(LesionliteError, match="the data lacks 'Actinic keratoses'"):
        load_teacher(str(run), fewer, ())
    more = replace(contract, labels=("Zebra", *contract.labels))
    with pytest.raises(LesionliteError, match="the teacher lacks 'Zebra'"):
        load_teacher(str(run), more, ())
