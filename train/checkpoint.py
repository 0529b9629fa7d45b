"""Checkpoints of an unfinished run. Two are kept: if one is damaged, only one epoch is lost."""

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


def save(run: Path, state: dict[str, Any]) -> None:
    """Save `state` as the newest checkpoint, atomically, and keep the one before it."""
    with replacing(run / LAST) as temporary:
        torch.save(state, temporary)
        if (run / LAST).exists():
            list_as_ours(run / PREVIOUS)
            os.replace(run / LAST, run / PREVIOUS)


def state_dict_of(trainer: "Trainer") -> dict[str, Any]:
    """Everything that `load_into` needs to continue, and that the run's other files are made of."""
    state = {
        "network": trainer.network.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "schedule": trainer.schedule.state_dict(),
        "epoch": trainer.epoch,
        "best_score": trainer.best_score,
        "best_epoch": trainer.best_epoch,
        "history": trainer.history,
    }
    if trainer.average is not None:
        state["average"] = trainer.average.module.state_dict()
    return state


def load_into(trainer: "Trainer", state: dict[str, Any]) -> None:
    """Set a trainer to a saved state.

    Raises:
        LesionliteError: if the state belongs to other settings, or is incomplete.
    """
    try:
        trainer.network.load_state_dict(state["network"])
        trainer.optimizer.load_state_dict(state["optimizer"])
        trainer.schedule.load_state_dict(state["schedule"])
        trainer.epoch, trainer.best_epoch = int(state["epoch"]), int(state["best_epoch"])
        trainer.best_score = float(state["best_score"])
        # Older checkpoints have no history.
        rows = state.get("history") or read_history(trainer.run)[: trainer.epoch]
        trainer.history = as_record(rows, list[dict[str, Any]], "its history")
        best = [row["weighted_f1"] for row in trainer.history if row["epoch"] == trainer.best_epoch]
        trainer.best_val_weighted_f1 = best[0] if best else None
        if trainer.average is not None:
            trainer.average.module.load_state_dict(state["average"])
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        missing = "it lacks " * isinstance(error, KeyError)
        first = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise LesionliteError(
            f"the checkpoint in {trainer.run} is not one of these settings ({missing}"
            f"{first[0].strip()}); train into another --out, or delete the folder"
        ) from error


def read_newest(run: Path, device: torch.device) -> dict[str, Any] | None:
    """Read the newest undamaged checkpoint; None if the run has no checkpoint.

    Raises:
        LesionliteError: if every checkpoint is damaged.
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
    """Read a checkpoint: the problem and None, or "" and the state.

    torch.save writes a ZIP archive, which has a CRC-32 of every tensor.
    """
    if not file.is_file():  # reading a pipe would block
        return "it is no regular file", None
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.testzip() is not None:
                return "its checksums are not those of its content", None
        state = torch.load(file, map_location=device, weights_only=True)
    except Exception:  # zipfile and torch raise many kinds of error for a damaged archive
        return "it is no archive of tensors", None
    return ("", state) if isinstance(state, dict) else ("it holds no checkpoint", None)


def exists(run: Path) -> bool:
    """Whether the run has a checkpoint, which means that it is unfinished."""
    return any((run / name).exists() for name in (LAST, PREVIOUS))


def delete(run: Path) -> None:
    """Delete all checkpoints of a finished run."""
    for name in (LAST, PREVIOUS):
        (run / name).unlink(missing_ok=True)
