import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lesionlite.errors import LesionliteError
from lesionlite.layout import LAST, PREVIOUS
from lesionlite.outputs import MARK, writing_into
from lesionlite.train import checkpoint

CPU = torch.device("cpu")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A run folder with two checkpoints."""
    with writing_into(tmp_path):
        for epoch in (1, 2):
            state = {"epoch": epoch, "weights": torch.full((5000,), float(epoch))}
            checkpoint.save(tmp_path, state)
    return tmp_path


def epoch_of(run: Path) -> int:
    state = checkpoint.read_newest(run, CPU)
    assert state is not None
    return int(state["epoch"])


def test_the_newest_is_used_and_the_one_before_kept(two: Path) -> None:
    assert epoch_of(two) == 2
    (two / LAST).unlink()  # as if killed between the two renames
    assert epoch_of(two) == 1 and checkpoint.exists(two)
    checkpoint.delete(two)
    assert checkpoint.read_newest(two, CPU) is None and not checkpoint.exists(two)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_one_is_noticed(
    two: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray((two / LAST).read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1  # one bit of a weight
    (two / LAST).write_bytes({"cut": data[:9000], "flipped": data, "empty": b""}[damage])
    assert epoch_of(two) == 1
    assert "last.pt is damaged" in capsys.readouterr().out
    (two / PREVIOUS).write_bytes(b"")
    with pytest.raises(LesionliteError, match="no checkpoint in .* is whole"):
        checkpoint.read_newest(two, CPU)


def test_what_a_killed_write_left_is_swept(two: Path) -> None:
    (two / ".lesionlite-half-123-last.pt").write_bytes(b"half")
    with writing_into(two):
        pass
    assert sorted(path.name for path in two.iterdir()) == [MARK, LAST, PREVIOUS]


@pytest.mark.parametrize("kind", ["fifo", "list", "text", "pickle"])
def test_what_is_no_checkpoint_is_passed_over(two: Path, kind: str) -> None:
    (two / LAST).unlink()
    if kind == "fifo":
        os.mkfifo(two / LAST)
    elif kind == "list":
        torch.save([1], two / LAST)
    elif kind == "pickle":  # whole, but more than tensors
        torch.save({"epoch": Path("x")}, two / LAST)
    else:
        (two / LAST).write_text("no archive")
    assert epoch_of(two) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epoch": None}, "not one of these settings"),
        ({"network": {}}, "not one of these settings"),
        ({"optimizer": {"param_groups": []}}, "not one of these settings"),
        ({"history": 3}, "history"),
    ],
)
def test_a_checkpoint_of_another_shape_is_a_sentence(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(network.parameters())
    trainer = SimpleNamespace(
        run=tmp_path,
        network=network,
        optimizer=optimizer,
        schedule=torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0),
        average=None,
        epoch=1,
        best_score=0.5,
        best_epoch=1,
        history=[{"epoch": 1, "weighted_f1": 0.5}],
    )
    state = checkpoint.state_dict_of(trainer)  # type: ignore[arg-type]
    checkpoint.load_into(trainer, state)  # type: ignore[arg-type]
    with pytest.raises(LesionliteError, match=said):
        checkpoint.load_into(trainer, {**state, **change})  # type: ignore[arg-type]
    del state["best_score"]
    with pytest.raises(LesionliteError, match="it lacks 'best_score'"):
        checkpoint.load_into(trainer, state)  # type: ignore[arg-type]
