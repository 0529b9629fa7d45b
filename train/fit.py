"""Train on a data folder: check it, make the contract, fit or resume."""

import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from train import checkpoint
from train.audit import audit, inspected
from train.config import TrainConfig
from train.console import say
from train.contract import Contract
from train.data import Dataset, read_dataset
from train.documents import read_json
from train.errors import LesionliteError
from train.layout import SETTINGS
from train.loop import Trainer
from train.outputs import writing_into
from train.ranks import ALONE, Ranks, by_first


@dataclass(frozen=True)
class TrainResult:
    """What a training run left behind."""

    run: Path
    epochs_run: int
    best_val_weighted_f1: float | None
    skipped: tuple[str, ...]


def fit(
    data: Path, run: Path, config: TrainConfig, resume: bool = False, ranks: Ranks = ALONE
) -> TrainResult:
    """Train on a data folder and keep the best checkpoint in `run`.

    Args:
        data: folder with train/ and val/ (and test/), one folder per class in each.
        run: folder to write.
        config: how.
        resume: go on with an interrupted run of the same settings.
        ranks: the processes that share the work; all of them call this.

    Raises:
        LesionliteError: bad data or settings, or a run that is already there.
    """
    with ExitStack() as stack:
        by_first(ranks, lambda: stack.enter_context(writing_into(run, DATA=data)))
        return _fit(data, run, config, resume, ranks)


def _fit(data: Path, run: Path, config: TrainConfig, resume: bool, ranks: Ranks) -> TrainResult:
    def look() -> tuple[Dataset, list[Path]]:
        _check_run_folder(run, config, resume)
        _check_batch(config, ranks)
        return _look_at_data(data, config, ranks)

    dataset, bad = by_first(ranks, look)
    contract = Contract(
        labels=dataset.labels,
        side=config.side,
        resize=config.resize,
        resize_side=config.resize_side,
        note=dataset.note,
    )
    trainer = Trainer(dataset, contract, config, run, ranks)
    if resume:
        trainer.restore()
    trainer.fit()
    best = None if trainer.best_f1 < 0 else trainer.best_f1
    return TrainResult(run, trainer.epoch, best, tuple(str(file) for file in bad))


def _look_at_data(data: Path, config: TrainConfig, ranks: Ranks) -> tuple[Dataset, list[Path]]:
    """The images that can be decoded, and the others; says what a person should know of them."""
    dataset = read_dataset(data)
    for label in dataset.empty_classes():
        say(f"{label} has no training image; it stays a class of the contract")
    dataset, looks, bad = inspected(dataset, config.skip_bad)
    fewest = min(len(dataset.train), len(dataset.val))
    if fewest < ranks.world:
        raise LesionliteError(
            f"{ranks.world} processes cannot share the {fewest} images of a split of {data}; start "
            "fewer (torchrun --nproc-per-node)"
        )
    say(audit(data, dataset, looks).sentence())
    return dataset, bad


def _check_batch(config: TrainConfig, ranks: Ranks) -> None:
    if ranks.world > 1 and (config.batch % ranks.world or config.batch < 2 * ranks.world):
        raise LesionliteError(
            f"--batch is {config.batch}, for all {ranks.world} processes together; it must be a "
            f"multiple of {ranks.world}, and at least {2 * ranks.world} (BatchNorm needs company)"
        )


def _check_run_folder(run: Path, config: TrainConfig, resume: bool) -> None:
    started = checkpoint.exists(run)
    if started and not resume:
        raise LesionliteError(
            f"{run} holds an interrupted run; add --resume to go on with it, or delete it"
        )
    saved = read_json(run / SETTINGS)
    if saved is not None and saved.get("finished"):
        raise LesionliteError(f"{run} already holds a finished run; choose another --out")
    if started and saved is not None:
        current = json.loads(json.dumps(asdict(config)))
        changed = [key for key, value in current.items() if saved.get(key) != value]
        if changed:
            raise LesionliteError(
                f"{run} was started with other settings ({', '.join(changed)}); "
                "resume with the same ones, or choose another --out"
            )
