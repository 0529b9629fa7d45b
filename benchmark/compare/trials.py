"""The trainings of a comparison: plan them, refuse an unfair plan, train what is missing."""

import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, fields, replace
from multiprocessing import get_context
from pathlib import Path

from lesionlite.benchmark.compare.config import CompareConfig
from lesionlite.benchmark.compare.logs import claim_log, writing_log
from lesionlite.console import track
from lesionlite.documents import read_json, read_record
from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.flags import read_flags
from lesionlite.layout import SCORES, is_run, read_settings
from lesionlite.train.config import TrainConfig
from lesionlite.train.data.audit import decode_all
from lesionlite.train.data.splits import Dataset, read_dataset
from lesionlite.train.memory import Memory, is_finished_with, other_settings, remember
from lesionlite.train.networks import expected, import_timm

Measures = dict[str, float]
# --seeds sets one, each recipe changes many, and the others change no result.
APART = ("seed", "recipe", "device", "workers", "cache")


@dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
        value: Of the setting that varies.
        folder: Of the run.
        config: Its settings.
    """

    value: str
    folder: Path
    config: TrainConfig


def folder_name(value: str) -> str:
    """The name of a value in the names of folders."""
    return "".join("_" if c in "/\\\0" or not c.isprintable() else c for c in value)[-60:]


def plan_trials(config: CompareConfig, shared: TrainConfig, out: Path) -> list[Trial]:
    """The trainings, ordered by seed and then by value.

    Args:
        config: What varies.
        shared: The settings that all of them share.
        out: Folder of the comparison.

    Raises:
        LesionliteError: There is no such setting, it cannot have such a value, or the comparison
            would be unfair.
    """
    name, values = config.setting()
    known = [f.name.replace("_", "-") for f in fields(shared) if f.name not in APART]
    if name not in known:
        raise unknown_choice("setting", name, known)
    names = [folder_name(value) for value in values]
    if len(set(names)) < len(names):
        raise LesionliteError(
            f"two values have the same folder: {', '.join(names)}; each needs one of its own"
        )
    configs = {value: _with(shared, name, value) for value in values}
    refuse_unfair(name, configs)
    return [
        Trial(value, out / f"{folder_name(value)}-{seed}", replace(one, seed=seed))
        for seed in range(config.seeds)
        for value, one in configs.items()
    ]


def _with(config: TrainConfig, name: str, value: str) -> TrainConfig:
    """Change one setting, whose value is given as on a command line."""
    return read_flags(
        TrainConfig, [f"--{name}={value}"], "lesionlite train", pairs=True, default=config
    )


def refuse_unfair(name: str, configs: Mapping[str, TrainConfig]) -> None:
    """Refuse a comparison in which more varies than the setting.

    Args:
        name: Of the setting, spelled as its flag is.
        configs: Settings by value.

    Raises:
        LesionliteError: It names what else would vary, and how to make it the same.
    """
    seen: dict[str, str] = {}
    for value, config in configs.items():
        if (twin := seen.setdefault(repr(asdict(config)), value)) != value:
            raise LesionliteError(f"{twin} and {value} are the same --{name}; name each once")
    if name != "model":
        return
    own = {value: expected(value).side for value in configs}  # refuses unknown networks
    sides = {value: config.side or own[value] for value, config in configs.items()}
    if len(set(sides.values())) > 1:
        shown = ", ".join(f"{value} {side}" for value, side in sides.items())
        raise LesionliteError(
            f"the networks' own sides differ ({shown}), and larger images score better; give all "
            f"the same --side, e.g. --side {min(sides.values())}"
        )
    weights = next(iter(configs.values())).weights
    if weights == "timm":
        _refuse_unpublished(list(configs))
    elif weights != "none" and len(configs) > 1:
        raise LesionliteError(
            f"{weights} holds weights of one network, and the others would start from other "
            "weights; give --weights timm or none"
        )


def _refuse_unpublished(models: list[str]) -> None:
    timm = import_timm()
    without = [name for name in models if not timm.get_pretrained_cfg(name).has_weights]
    if without:
        raise LesionliteError(
            f"timm has no published weights of {', '.join(without)}, so the others would start "
            "ahead; give --weights none, or leave them out of --models"
        )


def train_trials(data: Path, trials: list[Trial], jobs: int) -> Dataset:
    """Train the trials that are not finished; returns the data, with bad images left out.

    Raises:
        LesionliteError: Bad data; or a folder holds a run of other settings or other data.
    """
    skip_bad = trials[0].config.skip_bad
    dataset = read_dataset(data)
    memory = None
    if any(is_run(trial.folder) for trial in trials):
        dataset, *_ = decode_all(dataset, skip_bad)
        memory = remember(dataset, data)
    missing = [trial for trial in trials if not _is_finished(trial, memory, dataset)]
    for trial in missing:  # in this process, which alone has the list
        claim_log(trial.folder)
    _train_all(data, missing, jobs)
    return dataset


def _is_finished(trial: Trial, memory: Memory | None, dataset: Dataset) -> bool:
    """Whether a run is finished and scored; refuses one with other settings."""
    saved = read_settings(trial.folder)
    other = other_settings(saved, trial.config) if saved else []
    if other:
        raise LesionliteError(
            f"{trial.folder} holds a run of other settings ({', '.join(other)}); choose another "
            "--out"
        )
    if not saved.get("finished") or memory is None:
        return False
    if why := is_finished_with(trial.folder, trial.config, memory):
        raise LesionliteError(f"{why}; choose another --out")
    return dataset.test is None or "domains" in (read_json(trial.folder / SCORES) or {})


def _train_all(data: Path, missing: list[Trial], jobs: int) -> None:
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), max_tasks_per_child=1
    ) as workers:
        runs = [workers.submit(_train_one, data, trial, threads) for trial in missing]
        try:
            for run in track(as_completed(runs), "training", len(runs)):
                run.result()
        except BaseException:
            workers.shutdown(wait=False, cancel_futures=True)
            raise


def _train_one(data: Path, trial: Trial, threads: int) -> None:
    """Train or resume one run; its output goes to its log file."""
    import torch

    from lesionlite.train.results import train_and_test

    torch.set_num_threads(threads)
    with writing_log(trial.folder):
        train_and_test(data, trial.folder, trial.config, resume=True)


@dataclass(frozen=True)
class _Scores:
    """The compared measures of a test.json."""

    weighted_f1: float
    macro_f1: float
    accuracy: float


@dataclass(frozen=True)
class _Test(_Scores):
    domains: dict[str, _Scores] = field(default_factory=dict)


VALIDATION = "weighted F1, validation"
"""The measure that the choice is made by. The test split has no part in it."""


def measures_of(run: Path) -> Measures:
    """What a finished run scored: on validation, and on the test split if there is one."""
    measures = {VALIDATION: float(read_settings(run)["best_val_weighted_f1"])}
    if not (run / SCORES).exists():
        return measures
    scores = read_record(run / SCORES, _Test, extra=True, advice="delete the folder")
    domains = {f"weighted F1, test, {n}": s.weighted_f1 for n, s in scores.domains.items()}
    return {
        **measures,
        "weighted F1, test": scores.weighted_f1,
        **domains,
        "macro F1, test": scores.macro_f1,
        "accuracy, test": scores.accuracy,
    }
