from pathlib import Path

import pytest
import torch

from train import checkpoint
from train.errors import LesionliteError
from train.layout import LAST, PREVIOUS

CPU = torch.device("cpu")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    for epoch in (1, 2):
        checkpoint.keep(tmp_path, {"epoch": epoch, "weights": torch.full((5000,), float(epoch))})
    return tmp_path


def epoch_of(run: Path) -> int:
    state = checkpoint.newest(run, CPU)
    assert state is not None
    return int(state["epoch"])


def test_the_newest_is_used_and_the_one_before_kept(two: Path) -> None:
    assert epoch_of(two) == 2
    (two / LAST).unlink()  # as if killed between the two renames
    assert epoch_of(two) == 1 and checkpoint.exists(two)
    checkpoint.discard(two)
    assert checkpoint.newest(two, CPU) is None and not checkpoint.exists(two)


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
        checkpoint.newest(two, CPU)


def test_what_a_killed_write_left_is_swept(two: Path) -> None:
    (two / ".lesionlite-half-123-last.pt").write_bytes(b"half")
    checkpoint.keep(two, {"epoch": 3})
    assert sorted(path.name for path in two.iterdir()) == [LAST, PREVIOUS]
