"""Checkpoints of a run under way: two, so that a damaged one costs an epoch and no more."""

import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lesionlite.console import say
from lesionlite.documents import as_record
from lesionlite.errors import LesionliteError
from lesionlite.files import replacing
from lesionlite.layout import LAST, PREVIOUS, WEIGHTS
from lesionlite.outputs import list_as_ours
from lesionlite.train.history import read_history

if TYPE_CHECKING:
    from lesionlite.train.loop import Trainer


def keep(run: Path, state: dict[str, Any]) -> None:
    """Save `state` as the newest checkpoint, all or nothing; the one before it stays, too."""
    with replacing(run / LAST) as temporary:
        torch.save(state, temporary)
        if (run / LAST).exists():
            list_as_ours(run / PREVIOUS)
            os.replace(run / LAST, run / PREVIOUS)


def state_of(trainer: "Trainer") -> dict[str, Any]:
    """All that `take` needs to go on, and that a run's other files are made of."""
    state = {
        "network": trainer.network.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "schedule": trainer.schedule.state_dict(),
        "epoch": trainer.epoch,
        "best_f1": trainer.best_f1,
        "best_epoch": trainer.best_epoch,
        "history": trainer.history,
    }
    if trainer.average is not None:
        state["average"] = trainer.average.module.state_dict()
    return state


def take(trainer: "Trainer", state: dict[str, Any]) -> None:
    """Bring a trainer to where `state` was kept.

    Raises:
        LesionliteError: if it is of another network, or lacks something.
    """
    try:
        trainer.network.load_state_dict(state["network"])
        trainer.optimizer.load_state_dict(state["optimizer"])
        trainer.schedule.load_state_dict(state["schedule"])
        trainer.epoch, trainer.best_epoch = int(state["epoch"]), int(state["best_epoch"])
        trainer.best_f1 = float(state["best_f1"])
        # Older checkpoints have no history.
        rows = state.get("history") or read_history(trainer.run)[: trainer.epoch]
        trainer.history = as_record(rows, list[dict[str, Any]], "its history")
        if trainer.average is not None:
            trainer.average.module.load_state_dict(state["average"])
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        missing = "it lacks " * isinstance(error, KeyError)
        first = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise LesionliteError(
            f"the checkpoint in {trainer.run} is not one of these settings ({missing}"
            f"{first[0].strip()}); train into another --out, or delete the folder"
        ) from error


def newest(run: Path, device: torch.device) -> dict[str, Any] | None:
    """The newest checkpoint that is whole; None if there is none at all.

    Raises:
        LesionliteError: if there are some, and every one is damaged.
    """
    files = [run / name for name in (LAST, PREVIOUS) if (run / name).exists()]
    for file in files:
        problem, state = _read(file, device)
        if state is not None:
            return state
        say(f"{file} is damaged ({problem}); using the one before")
    if files:
        raise LesionliteError(
            f"no checkpoint in {run} is whole; delete the folder and train anew (the best network "
            f"so far, if any, is in its {WEIGHTS})"
        )
    return None


def _read(file: Path, device: torch.device) -> tuple[str, dict[str, Any] | None]:
    """What is wrong with a checkpoint, and what it holds (None if something is wrong).

    Torch writes a ZIP archive, which has a CRC-32 of every tensor in it.
    """
    if not file.is_file():  # a pipe would be waited for without end
        return "it is no regular file", None
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.testzip() is not None:
                return "its checksums are not those of its content", None
        state = torch.load(file, map_location=device, weights_only=True)
    except Exception:  # zipfile's and torch's readers raise a dozen kinds for damaged archives
        return "it is no archive of tensors", None
    return ("", state) if isinstance(state, dict) else ("it holds no checkpoint", None)


def exists(run: Path) -> bool:
    """Whether a run that is under way left a checkpoint."""
    return any((run / name).exists() for name in (LAST, PREVIOUS))


def discard(run: Path) -> None:
    """Delete all: the run is finished."""
    for name in (LAST, PREVIOUS):
        (run / name).unlink(missing_ok=True)
