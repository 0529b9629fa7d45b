"""Train on a data folder: check the data, make the contract, start or resume training."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lesionlite.console import say
from lesionlite.contract import Contract
from lesionlite.documents import to_json
from lesionlite.errors import LesionliteError
from lesionlite.layout import CONTRACT, DATASET, OF_TRAINING, SCORES, read_settings
from lesionlite.outputs import refuse_foreign, writing_into
from lesionlite.train import checkpoint
from lesionlite.train.config import TrainConfig
from lesionlite.train.data.audit import audit, decode_all
from lesionlite.train.data.splits import Dataset, read_dataset
from lesionlite.train.devices.ranks import SINGLE, Ranks, on_first_rank
from lesionlite.train.loop import Trainer
from lesionlite.train.memory import (
    Memory,
    difference,
    is_finished_with,
    other_settings,
    read_memory,
    remember,
    write_memory,
)
from lesionlite.train.objective.distill import refuse_teacher


@dataclass(frozen=True)
class TrainResult:
    """The result of a training run.

    Attributes:
        run: the run folder.
        epochs_run: number of epochs.
        best_val_weighted_f1: None if no epoch was run.
        skipped: images that were left out because they cannot be decoded.
        dataset: the training, validation and test images.
    """

    run: Path
    epochs_run: int
    best_val_weighted_f1: float | None
    skipped: tuple[str, ...]
    dataset: Dataset


@dataclass(frozen=True)
class _Checked:
    """What was read and checked before training."""

    dataset: Dataset
    bad: tuple[Path, ...]
    contract: Contract
    memory: Memory
    saved: dict[str, Any]


def fit(
    data: Path, run: Path, config: TrainConfig, resume: bool = False, ranks: Ranks = SINGLE
) -> TrainResult:
    """Train on a data folder and keep the best checkpoint in `run`.

    Args:
        data: folder with train/ and val/ (and test/), one folder per class in each.
        run: folder to write.
        config: the settings.
        resume: continue an interrupted run with the same settings and the same images. A finished
            run is left as it is, if only the scores of its test split are missing.
        ranks: the processes that share the work; all must call this.

    Raises:
        LesionliteError: bad data or settings, or `run` holds a run already.
    """
    weights = Path(config.weights) if Path(config.weights).is_file() else None
    teacher = Path(config.teacher) if config.teacher else None
    with ExitStack() as stack:
        inputs = {"DATA": data, "weights": weights, "teacher": teacher}
        on_first_rank(ranks, lambda: stack.enter_context(writing_into(run, **inputs)))
        found = on_first_rank(ranks, lambda: _check(data, run, config, resume, ranks))
        if found.saved.get("finished"):
            say(f"{run} is trained already")
            on_first_rank(ranks, lambda: checkpoint.delete(run))
            epochs, best = found.saved.get("epochs_run", 0), found.saved.get("best_val_weighted_f1")
        else:
            trainer = Trainer(found.dataset, found.contract, config, run, ranks)
            if resume:
                trainer.restore()
            trainer.fit(begin=lambda: write_memory(run, found.memory))
            epochs, best = trainer.epoch, trainer.best_val_weighted_f1
    skipped = tuple(str(file) for file in found.bad)
    return TrainResult(run, epochs, best, skipped, found.dataset)


def _check(data: Path, run: Path, config: TrainConfig, resume: bool, ranks: Ranks) -> _Checked:
    """Check the run folder, the settings and the data, and print notes about the data."""
    _check_run_folder(run, config, resume)
    _check_batch(config, ranks)
    dataset = read_dataset(data)
    contract = config.contract(dataset.labels, dataset.note, dataset.disclaimer)
    if config.teacher:
        refuse_teacher(config.teacher, dataset.labels)
    _refuse_unwritable(data, [dataset.note, dataset.disclaimer, dataset.domains])
    for label in dataset.empty_classes():
        say(f"{label} has no training image; it stays a class of the contract")
    dataset, signatures, bad = decode_all(dataset, config.skip_bad)
    fewest = min(len(dataset.train), len(dataset.val))
    if fewest < ranks.world:
        raise LesionliteError(
            f"{ranks.world} processes cannot share the {fewest} images of a split of {data}; start "
            "fewer (torchrun --nproc-per-node)"
        )
    memory = remember(dataset, data)
    _refuse_other_data(run, config, memory)
    memory = replace(memory, audit=audit(data, dataset, signatures).sentence())
    say(memory.audit)
    return _Checked(dataset, tuple(bad), contract, memory, read_settings(run))


def _refuse_unwritable(data: Path, texts: object) -> None:
    """Refuse texts of dataset.json that UTF-8 cannot encode: half of a surrogate pair."""
    try:
        to_json(texts).encode()
    except UnicodeEncodeError as error:
        raise LesionliteError(
            f"{data / DATASET} holds a character that no text file can hold "
            f"({error.object[error.start]!r}); remove it from its note and its domains"
        ) from None


def _check_batch(config: TrainConfig, ranks: Ranks) -> None:
    if ranks.world > 1 and (config.batch % ranks.world or config.batch < 2 * ranks.world):
        raise LesionliteError(
            f"--batch is {config.batch}, for all {ranks.world} processes together; it must be a "
            f"multiple of {ranks.world}, and at least {2 * ranks.world} (BatchNorm needs company)"
        )


def _check_run_folder(run: Path, config: TrainConfig, resume: bool) -> None:
    started, saved = checkpoint.exists(run), read_settings(run)
    if saved.get("finished") and (not resume or (run / SCORES).exists()):
        raise LesionliteError(f"{run} already holds a finished run; choose another --out")
    if started and not resume:
        raise LesionliteError(
            f"{run} holds an interrupted run; add --resume to go on with it, or delete it"
        )
    changed = other_settings(saved, config) if saved and (started or saved.get("finished")) else []
    if changed:
        raise LesionliteError(
            f"{run} was started with other settings ({', '.join(changed)}); "
            "resume with the same ones, or choose another --out"
        )
    if not started and not saved:
        for name in OF_TRAINING:
            refuse_foreign(run / name)


def _refuse_other_data(run: Path, config: TrainConfig, memory: Memory) -> None:
    """Refuse to resume a run with other data than it was started with."""
    if read_settings(run).get("finished"):
        why = is_finished_with(run, config, memory)
    elif checkpoint.exists(run):
        before = read_memory(run)
        if before is None and (run / CONTRACT).exists():  # an older lesionlite began it
            before = Memory(Contract.read(run / CONTRACT).labels, memory.train, memory.val)
        apart = difference(before, memory) if before else ""
        why = apart and f"{run} was begun with other data: {apart}"
    else:
        why = ""
    if why:
        raise LesionliteError(f"{why}; give the same images and classes, or choose another --out")
