import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.layout import CONTRACT, CURVES, LAST, METRICS, SCORES, SETTINGS, WEIGHTS
from lesionlite.train import loop
from lesionlite.train.augment import Draw, EpochSampler
from lesionlite.train.config import TrainConfig
from lesionlite.train.data.splits import Split, read_dataset, read_split
from lesionlite.train.devices.device import pick_device
from lesionlite.train.fit import fit
from lesionlite.train.loop import Trainer
from lesionlite.train.objective.imbalance import MODES
from lesionlite.train.objective.optimize import cosine_with_warmup
from tests.conftest import TINY

SHORT = replace(TINY, epochs=3, side=32, batch=32)


def test_a_run_holds_what_it_should(run: Path) -> None:
    for name in (WEIGHTS, CONTRACT, SETTINGS, METRICS, CURVES, SCORES):
        assert (run / name).is_file(), name
    assert not (run / LAST).exists()
    settings = json.loads((run / SETTINGS).read_text())
    assert settings["epochs_run"] == 2 and settings["model"] == "mobilevitv2_050"
    rows = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["train_loss"] < rows[0]["train_loss"]
    scores = json.loads((run / SCORES).read_text())
    assert scores["note"].startswith("drawn") and scores["images"] > 0


@pytest.mark.slow
def test_an_interrupted_run_resumes_to_the_same_weights(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(drawn, tmp_path / "whole", SHORT)
    save_checkpoint = Trainer.save_checkpoint

    def interrupt(trainer: Trainer) -> None:
        save_checkpoint(trainer)
        if trainer.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "save_checkpoint", interrupt)
        fit(drawn, tmp_path / "parts", SHORT)
    with pytest.raises(LesionliteError, match="--resume"):
        fit(drawn, tmp_path / "parts", SHORT)
    with pytest.raises(LesionliteError, match=r"other settings \(lr\)"):
        fit(drawn, tmp_path / "parts", replace(SHORT, lr=1e-4), resume=True)
    fit(drawn, tmp_path / "parts", SHORT, resume=True)
    whole, parts = (load_file(tmp_path / name / WEIGHTS) for name in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    with pytest.raises(LesionliteError, match="already holds a finished run"):
        fit(drawn, tmp_path / "parts", SHORT)


@pytest.fixture(scope="module")
def undisturbed(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    fit(drawn, run, replace(SHORT, drop_path=0.1, mixup=0.2, workers=0))
    return run


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_killed_in_an_epoch_it_resumes_to_the_same_weights_with_any_workers(
    workers: int, undisturbed: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(SHORT, drop_path=0.1, mixup=0.2, workers=workers)
    step = Trainer.step

    def interrupt(trainer: Trainer, *batch: torch.Tensor) -> float:
        if trainer.epoch == 1 and batch[2][0] != trainer.data.train.targets[0]:
            raise KeyboardInterrupt
        return step(trainer, *batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "step", interrupt)
        fit(drawn, tmp_path / "run", config)
    fit(drawn, tmp_path / "run", replace(config, workers=4 - workers), resume=True)
    whole, parts = (load_file(folder / WEIGHTS) for folder in (undisturbed, tmp_path / "run"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    assert (undisturbed / METRICS).read_bytes() == (tmp_path / "run" / METRICS).read_bytes()


def test_epochs_zero_makes_a_run_of_the_weights_as_they_are(
    run: Path, drawn: Path, tmp_path: Path
) -> None:
    config = replace(TINY, weights=str(run / WEIGHTS), epochs=0)
    assert fit(drawn, tmp_path / "same", config).epochs_run == 0
    before, after = load_file(run / WEIGHTS), load_file(tmp_path / "same" / WEIGHTS)
    assert all(torch.equal(before[key], after[key]) for key in before)
    same, own = (Contract.read(folder / CONTRACT) for folder in (tmp_path / "same", run))
    assert replace(same, rejection=None) == replace(own, rejection=None)
    assert same.rejection is not None and own.rejection is not None
    # Another number of threads rounds otherwise.
    assert same.rejection.reject_above == pytest.approx(own.rejection.reject_above, rel=1e-3)


def test_it_stops_when_validation_stops_improving(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"val_loss": 1.0, "weighted_f1": 0.5, "accuracy": 0.5}
    monkeypatch.setattr(Trainer, "_validate", lambda self: row)
    result = fit(drawn, tmp_path / "run", replace(SHORT, epochs=9, patience=2))
    assert result.epochs_run == 3 and result.best_val_weighted_f1 == 0.5


def test_a_loss_that_is_no_number_stops_with_a_sentence(drawn: Path, tmp_path: Path) -> None:
    said = r"became (nan|inf) in epoch 1, step \d+, on .*/train/.*png.* and 29 more; .*smaller --lr"
    with pytest.raises(LesionliteError, match=said):
        fit(drawn, tmp_path / "run", replace(SHORT, lr=1e12, clip=1e12, warmup=0))


@pytest.mark.parametrize("imbalance", MODES)
def test_each_imbalance_mode_is_what_it_says(imbalance: str, drawn: Path, tmp_path: Path) -> None:
    config = replace(SHORT, imbalance=imbalance)  # type: ignore[arg-type]
    dataset = read_dataset(drawn)
    trainer = Trainer(dataset, Contract(dataset.labels, side=32), config, tmp_path)
    assert (trainer.loss.weights is not None) == (imbalance in ("loss", "dual"))
    alike = len(set(trainer.sampler.weights.tolist())) == 1
    assert alike == (imbalance in ("none", "loss", "balanced-softmax"))
    assert (trainer.loss.log_prior is not None) == (imbalance == "balanced-softmax")


def test_balanced_softmax_adds_the_log_of_the_shares_to_the_logits_of_the_loss(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = read_dataset(drawn)
    config = replace(SHORT, imbalance="balanced-softmax")
    trainer = Trainer(dataset, Contract(dataset.labels, side=32), config, tmp_path)
    logits = torch.randn(2, len(dataset.labels), requires_grad=True)
    monkeypatch.setattr("lesionlite.train.loop.predict_logits", lambda *_: logits)
    counts = torch.tensor(dataset.train.counts(), dtype=torch.float32)
    targets = torch.tensor([0, 1])
    shares = torch.log_softmax(logits + torch.log(counts / counts.sum()), 1)
    wanted = -float(shares[torch.arange(2), targets].mean())
    found = trainer.step(torch.zeros(2, 3, 32, 32), targets, torch.arange(2))
    assert found == pytest.approx(wanted, rel=1e-5)


def test_the_chosen_score_chooses_the_epoch(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weighted, balanced = iter([0.5, 0.4, 0.3]), iter([0.1, 0.3, 0.2])
    validate = loop.validate

    def scripted(*given: Any) -> dict[str, float]:
        changed = {"weighted_f1": next(weighted), "balanced_accuracy": next(balanced)}
        return {**validate(*given), **changed}

    monkeypatch.setattr(loop, "validate", scripted)
    fit(drawn, tmp_path / "run", replace(SHORT, select="balanced_accuracy"))
    assert json.loads((tmp_path / "run" / SETTINGS).read_text())["best_epoch"] == 2
    epochs = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert "balanced accuracy 0.3000  best  at most 0:" in epochs[1]
    assert ["left" in line for line in epochs] == [True, True, False]


def test_early_layers_learn_more_slowly_and_biases_do_not_decay(
    drawn: Path, tmp_path: Path
) -> None:
    dataset = read_dataset(drawn)
    contract = Contract(dataset.labels, side=32)
    slow = Trainer(dataset, contract, replace(SHORT, layer_decay=0.8), tmp_path).optimizer
    rates = sorted({group["initial_lr"] for group in slow.param_groups})
    assert rates[-1] == SHORT.lr and rates[0] < 0.2 * SHORT.lr and len(rates) > 5
    plain = Trainer(dataset, contract, SHORT, tmp_path).optimizer.param_groups
    assert sorted(group["weight_decay"] for group in plain) == [0.0, SHORT.weight_decay]
    assert all(p.ndim <= 1 for g in plain if not g["weight_decay"] for p in g["params"])


def test_the_average_of_the_weights_is_what_counts(drawn: Path, tmp_path: Path) -> None:
    fit(drawn, tmp_path / "run", replace(SHORT, epochs=1, ema=0.9))
    fit(drawn, tmp_path / "plain", replace(SHORT, epochs=1))
    mean, last = (load_file(tmp_path / name / WEIGHTS) for name in ("run", "plain"))
    assert not torch.equal(mean["head.fc.weight"], last["head.fc.weight"])


def test_the_contract_gets_temperature_and_threshold(run: Path) -> None:
    contract = Contract.read(run / CONTRACT)
    found = json.loads((run / SETTINGS).read_text())["confidence"]
    assert contract.temperature == found["temperature"] != 1
    assert contract.unsure_below == found["unsure_below"] > 0
    assert found["coverage"] >= 0.9 and found["images"] > 0


def test_rare_classes_are_drawn_by_the_root_of_their_count() -> None:
    split = Split(tuple(Path(str(i)) for i in range(2500)), (0,) * 2400 + (1,) * 100, ("a", "b"))
    sampler = EpochSampler(split, seed=0)
    drawn = Counter(split.targets[index] for _ in range(4) for index, _ in sampler_epoch(sampler))
    assert drawn[0] / drawn[1] == pytest.approx((2400 / 100) ** 0.5, rel=0.1)


def sampler_epoch(sampler: EpochSampler) -> list[Draw]:
    sampler.epoch += 1
    return list(sampler)


def test_every_epoch_draws_otherwise_and_repeatably() -> None:
    split = Split(tuple(Path(str(i)) for i in range(50)), (0, 1) * 25, ("a", "b"))
    first, again = EpochSampler(split, seed=1), EpochSampler(split, seed=1)
    assert list(first) == list(again)
    first.epoch = 1
    for now, then in zip(zip(*first, strict=True), zip(*again, strict=True), strict=True):
        assert now != then  # neither the images nor the seeds of their augmentation


def test_the_rate_rises_then_falls_to_zero() -> None:
    factor = cosine_with_warmup(100, 0.1)
    rates = [factor(step) for step in range(101)]
    assert rates[0] < rates[5] < rates[10] == 1 and rates[10] > rates[50] > rates[99]
    assert rates[100] == pytest.approx(0)


@pytest.mark.parametrize(
    ("change", "flag"),
    [({"side": 20}, "--side"), ({"epochs": -1}, "--epochs"), ({"lr": 0}, "--lr")]
    + [({"batch": 1}, "--batch"), ({"beta": 1.0}, "--beta"), ({"warmup": 1.0}, "--warmup")],
)
def test_settings_that_cannot_work_are_named(change: dict[str, float], flag: str) -> None:
    with pytest.raises(LesionliteError, match=flag):
        TrainConfig(**change)  # type: ignore[arg-type]


def test_an_absent_device_lists_the_present_ones() -> None:
    with pytest.raises(LesionliteError, match="choose from: auto, cpu"):
        pick_device("tpu")


def test_reading_the_drawn_split_gives_fourteen_classes(drawn: Path) -> None:
    assert len(read_split(drawn / "val").labels) == 14
