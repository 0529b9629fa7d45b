"""Here two kills, one of them in a write; `train/trials/survival.py` does ten."""

from pathlib import Path

import pytest

from lesionlite.train.trials import survival
from lesionlite.train.trials.survival import Survival


@pytest.mark.slow
def test_a_killed_run_ends_as_one_never_interrupted(
    drawn: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kill = survival._kill_once
    monkeypatch.setattr(  # the second kill waits for a write
        survival, "_kill_once", lambda p, run, after, _: kill(p, run, after, run.exists())
    )
    document, code = Survival(drawn, kills=2, seed=1).run()
    assert code == 0 and all(document["same"].values()), document
    assert "kill 2: in" in capsys.readouterr().out


@pytest.mark.slow
def test_a_difference_is_noticed(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = survival._start

    def otherwise(data: Path, run: Path, epochs: int, workers: int) -> object:
        flags = ("--seed", str(int(run.name == "parts")))
        monkeypatch.setattr(survival, "FLAGS", (*FLAGS, *flags))
        return start(data, run, epochs, workers)

    FLAGS = survival.FLAGS
    monkeypatch.setattr(survival, "_start", otherwise)
    document, code = Survival(drawn, kills=0).run()
    assert code == 1 and not document["same"]["metrics.jsonl"]
