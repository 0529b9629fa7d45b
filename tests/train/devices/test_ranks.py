"""Two processes train one network. They run on this machine, over gloo, as torchrun starts them."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from lesionlite import cli
from lesionlite.errors import LesionliteError
from lesionlite.layout import LAST, METRICS, SCORES, WEIGHTS
from lesionlite.metrics import weighted_f1
from lesionlite.train.augment import Draw, EpochSampler, epoch_seed
from lesionlite.train.data.images import load_inputs
from lesionlite.train.data.splits import Split, read_split
from lesionlite.train.devices.ranks import Ranks
from lesionlite.train.model import all_logits, load_run
from lesionlite.train.objective import loss as loss_module
from lesionlite.train.objective.loss import cross_entropy
from tests.test_readme import ROOT, TEXT

FLAGS = ("--weights", "none", "--model", "mobilevitv2_050", "--side", "32", "--batch", "32")
FLAGS += ("--epochs", "2", "--lr", "2e-3", "--ema", "0.9", "--bf16", "off", "--device", "cpu")
FLAGS += ("--mixup", "0.2")
STOP = """
import sys
from lesionlite import cli
from lesionlite.train.loop import Trainer
save_checkpoint = Trainer.save_checkpoint
def stop(trainer):
    save_checkpoint(trainer)
    raise KeyboardInterrupt
Trainer.save_checkpoint = stop
sys.exit(cli.main(sys.argv[1:]))
"""


def torchrun(arguments: Sequence[str], cache: Path) -> "subprocess.CompletedProcess[str]":
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)}
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=300,
    )


@pytest.mark.slow
def test_two_processes_train_one_network_and_resume(drawn: Path, tmp_path: Path) -> None:
    run, script = tmp_path / "run", tmp_path / "stop.py"
    (line,) = re.findall(r"^torchrun (.+)$", TEXT, re.M)
    told = [{"DATA": str(drawn), "RUN": str(run)}.get(word, word) for word in line.split()]
    assert told[:4] == ["--nproc-per-node", "2", "-m", "lesionlite"]
    script.write_text(STOP)
    stopped = torchrun([*told[:2], str(script), *told[4:], *FLAGS], tmp_path)
    assert stopped.returncode and stopped.stderr.count("--resume to go on") == 1, stopped.stderr
    assert (run / LAST).exists()
    resumed = torchrun([*told, *FLAGS, "--resume"], tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.count("resuming after epoch 1") == 1  # one of them speaks
    assert resumed.stdout.count("next: lesionlite build") == 1
    assert (run / SCORES).exists() and not (run / LAST).exists()

    rows = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    best = max(rows, key=lambda row: (row["weighted_f1"], -row["epoch"]))
    network, contract = load_run(run)
    val = read_split(drawn / "val")
    answers = all_logits(network, load_inputs(val.files, contract), contract).argmax(1)
    truth = np.asarray(val.targets)
    assert best["accuracy"] == float((answers == truth).mean())
    assert best["weighted_f1"] == weighted_f1(truth, answers, len(val.labels))
    assert not any(torch.isnan(value).any() for value in load_file(run / WEIGHTS).values())


def test_an_error_of_one_ends_both_with_one_sentence(drawn: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    train = ["-m", "lesionlite", "train", str(drawn), "--out", str(tmp_path / "run"), *FLAGS]
    ended = torchrun(["--nproc-per-node", "2", *train, "--batch", "33"], tmp_path)
    assert ended.returncode and time.monotonic() - started < 60
    assert ended.stderr.count("lesionlite: --batch is 33, for all 2 processes together") == 1
    assert "exitcode  : 2" in ended.stderr and not (tmp_path / "run").exists()


def test_torchrun_is_for_training_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert cli.main(["export", "RUN", "--out", "DIR"]) == 2
    assert "run `lesionlite export` by itself" in capsys.readouterr().err


def samplers(world: int, seed: int = 3) -> list[EpochSampler]:
    split = Split(tuple(Path(str(i)) for i in range(2501)), (0,) * 2400 + (1,) * 101, ("a", "b"))
    return [EpochSampler(split, seed, ranks=Ranks(rank, world)) for rank in range(world)]


def in_turns(parts: list[EpochSampler]) -> list[Draw]:
    return [draw for turn in zip(*parts, strict=True) for draw in turn]


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_draws_of_one(world: int) -> None:
    (alone,), parts = samplers(1), samplers(world)
    whole, shared = list(alone), in_turns(parts)
    assert shared == whole[: len(shared)] and len(shared) > len(whole) - world
    assert [len(list(part)) for part in parts] == [len(part) for part in parts]
    once, together = (Counter(i < 2400 for i, _ in draws) for draws in (whole, shared))
    assert together[True] / len(shared) == pytest.approx(once[True] / len(whole), abs=0.01)
    # Step by step, too: with a batch shared out, each step's images are those of one process.
    batch = 4 * world
    assert sorted(i for part in parts for i in list(part)[4:8]) == sorted(whole[batch : 2 * batch])


def test_repeated_draws_are_caught() -> None:
    (alone,) = samplers(1)
    same = [samplers(2)[0], samplers(2)[0]]  # each as if it were the first
    own = [samplers(2)[0], samplers(2, seed=4)[1]]  # each with draws of its own
    for parts in (same, own):
        assert in_turns(parts) != list(alone)[: len(in_turns(parts))]


def test_augmentation_differs_between_processes_and_is_as_before_for_one() -> None:
    assert epoch_seed(0, 1, 1) != epoch_seed(0, 1, 0) == epoch_seed(0, 1)
    before = np.random.SeedSequence([7, 1]).generate_state(1)[0]
    assert epoch_seed(7, 1) == before  # runs of one process are resumed to the same bits


@pytest.mark.parametrize("weighted", [True, False])
def test_the_parts_of_a_batch_have_the_gradient_of_the_whole(
    weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.tensor([0, 0, 0, 1, 2, 2])
    weights = torch.tensor([0.1, 1.0, 5.0]) if weighted else None
    logits = torch.randn(6, 3, generator=generator, requires_grad=True)
    (whole, value) = cross_entropy(logits, targets, weights, 0.1)
    (expected,) = torch.autograd.grad(whole, logits)

    def parts() -> list[tuple[torch.Tensor, float]]:
        return [
            cross_entropy(logits[r::2], targets[r::2], weights, 0.1, Ranks(r, 2)) for r in (0, 1)
        ]

    sent: list[torch.Tensor] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            loss_module, "all_reduce_sum", lambda ranks, values: sent.append(values) or values
        )
        parts()
    monkeypatch.setattr(loss_module, "all_reduce_sum", lambda ranks, values: sent[0] + sent[1])
    losses = parts()
    assert [loss for _, loss in losses] == pytest.approx([value, value])
    (found,) = torch.autograd.grad(sum(loss for loss, _ in losses) / 2, logits)
    torch.testing.assert_close(found, expected)
    if weighted:  # the mean of the parts' own means is something else
        own = [
            F.cross_entropy(logits[r::2], targets[r::2], weights, label_smoothing=0.1)
            for r in (0, 1)
        ]
        (wrong,) = torch.autograd.grad(sum(own) / 2, logits)
        assert not torch.allclose(wrong, expected, atol=1e-3)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from lesionlite.train.devices.ranks import device_of_rank

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(LesionliteError, match=r"2 GPUs; .*--nproc-per-node 2.*--device cpu"):
        device_of_rank(Ranks(3, 4, 3), torch.device("cuda"))
    assert device_of_rank(Ranks(3, 4, 3), torch.device("cpu")) == torch.device("cpu")
