"""Train with several values of one setting and several seeds, and compare the scores.

`python -m lesionlite.train.trials.compare DATA --out OUT --vary imbalance --values none loss`, and
any flag of `lesionlite train`. Interrupted, it goes on where it was when called again.
"""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, fields, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from tyro.conf import Positional

from lesionlite.command import Json, Outcome
from lesionlite.console import respond, say, track
from lesionlite.documents import read_json, read_record
from lesionlite.errors import LesionliteError, unknown_choice
from lesionlite.flags import read_flags
from lesionlite.layout import SCORES, is_run, read_settings
from lesionlite.outputs import list_as_ours, refuse_foreign, writing_into
from lesionlite.settings import THREADS, are_threads, refuse_settings, refuse_types
from lesionlite.tables import Table, write_tables
from lesionlite.train.commands import TrainingFlags, no_flags, training_of
from lesionlite.train.config import RARE_FLAGS, TrainConfig
from lesionlite.train.data.audit import decode_all
from lesionlite.train.data.splits import read_dataset
from lesionlite.train.memory import Memory, is_finished_with, other_settings, remember

Measures = dict[str, float]


@dataclass(frozen=True)
class Compare:
    """Compare values of one setting on the test split: mean and standard deviation over seeds."""

    data: Positional[Path]
    """Data folder with train/, val/ and test/."""
    out: Path
    """Folder for the runs and tables."""
    vary: str
    """The setting, e.g. imbalance, ema or label-smoothing."""
    values: tuple[str, ...]
    """Values of the setting."""
    seeds: int = 3
    """Number of runs of each value, with seeds 0, 1, 2, ..."""
    jobs: int = 1
    """Number of runs at a time; they share the cores."""
    RARE_FLAGS = RARE_FLAGS
    training: TrainingFlags = field(default_factory=no_flags)
    json: Json = False

    def __post_init__(self) -> None:
        """Refuse numbers that are out of range.

        Raises:
            LesionliteError: naming the flag, its value, and what it may be.
        """
        refuse_types(self)
        rules = (
            ("values", bool(self.values), "one or more values"),
            ("seeds", 1 <= self.seeds <= 10_000, "from 1 to 10000"),
            ("jobs", are_threads(self.jobs), THREADS),
        )
        refuse_settings(self, rules)

    @property
    def config(self) -> TrainConfig:
        """The settings that all runs share."""
        return training_of(self.training)

    def run(self) -> Outcome:
        """Train the missing runs, and print the table."""
        plan = self.plan()
        with writing_into(self.out, DATA=self.data):
            return self._run(plan)

    def _run(self, plan: dict[Path, TrainConfig]) -> Outcome:
        memory = None
        if any(is_run(out) for out in plan):
            dataset, *_ = decode_all(read_dataset(self.data), self.config.skip_bad)
            memory = remember(dataset, self.data)
        missing = {out: c for out, c in plan.items() if not _finished(out, c, memory)}
        for out in missing:  # in this process, which alone has the list
            refuse_foreign(_log(out))
            list_as_ours(_log(out))
        _train_all(self.data, missing, self.jobs)
        measures = {out: _measures(out) for out in plan}
        table = compared(
            self.vary, {v: [measures[self._folder(v, s)] for s in self._seeds] for v in self.values}
        )
        say(table.markdown())
        write_tables(self.out, [table], "")
        say(f"tables: {self.out}")
        flag = self.vary.replace("_", "-")
        say(f"next: lesionlite build {self.data} --{flag} VALUE --out dist/skin")
        return table.document(), 0

    @property
    def _seeds(self) -> range:
        return range(self.seeds)

    def _folder(self, value: str, seed: int) -> Path:
        plain = "".join("_" if c in "/\\\0" or not c.isprintable() else c for c in value)
        return self.out / f"{plain[-60:]}-{seed}"

    def plan(self) -> dict[Path, TrainConfig]:
        """The settings of every run, by its folder. The order is by seed, then by value.

        Raises:
            LesionliteError: if there is no such setting, or it cannot have such a value.
        """
        flag = self.vary.replace("_", "-")
        known = [f.name.replace("_", "-") for f in fields(self.config)]
        if flag not in known:
            raise unknown_choice("setting", self.vary, known)
        names = [self._folder(value, 0).name.removesuffix("-0") for value in self.values]
        if len(set(names)) < len(names):
            raise LesionliteError(
                f"--values gives the same folder twice: {', '.join(names)}; each value needs one "
                "of its own"
            )
        return {
            self._folder(value, seed): _with(replace(self.config, seed=seed), flag, value)
            for seed in self._seeds
            for value in self.values
        }


def _with(config: TrainConfig, flag: str, value: str) -> TrainConfig:
    """Change one setting, whose value is given as on a command line."""
    return read_flags(
        TrainConfig, [f"--{flag}={value}"], "lesionlite train", pairs=True, default=config
    )


def compared(vary: str, measures: dict[str, list[Measures]]) -> Table:
    """The table of mean and sample standard deviation by value.

    Args:
        vary: the setting's name.
        measures: for each value, what each seed's run scored.
    """
    names = list(next(iter(measures.values()))[0])
    rows = []
    for value, runs in measures.items():
        row: list[Any] = [value, len(runs)]
        for name in names:
            scores = [run[name] for run in runs]
            spread = stdev(scores) if len(scores) > 1 else None
            row += [fmean(scores), spread]
        rows.append(tuple(row))
    columns = [part for name in names for part in (name, "±")]
    unique = [c if c != "±" else f"± {columns[i - 1]}" for i, c in enumerate(columns)]
    return Table("compare", f"{vary}, on the test split", (vary, "seeds", *unique), tuple(rows))


def _finished(out: Path, config: TrainConfig, memory: Memory | None) -> bool:
    """Whether a run is finished and scored; refuses one with other settings."""
    saved = read_settings(out)
    other = other_settings(saved, config) if saved else []
    if other:
        raise LesionliteError(
            f"{out} holds a run of other settings ({', '.join(other)}); choose another --out"
        )
    if not saved.get("finished") or memory is None:
        return False
    why = is_finished_with(out, config, memory)
    if why:
        raise LesionliteError(f"{why}; choose another --out")
    return "domains" in (read_json(out / SCORES) or {})


def _log(out: Path) -> Path:
    """The log file of a run, beside its folder."""
    return out.with_name(out.name + ".log")


def _train_all(data: Path, missing: dict[Path, TrainConfig], jobs: int) -> None:
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), max_tasks_per_child=1
    ) as workers:
        runs = [workers.submit(_train_one, data, out, c, threads) for out, c in missing.items()]
        try:
            for run in track(as_completed(runs), "training", len(runs)):
                run.result()
        except BaseException:
            workers.shutdown(wait=False, cancel_futures=True)
            raise


def _train_one(data: Path, out: Path, config: TrainConfig, threads: int) -> None:
    """Train or resume one run; its output goes to its log file."""
    import torch

    from lesionlite.train.results import train_and_test

    torch.set_num_threads(threads)
    with (
        _log(out).open("w", encoding="utf-8", errors="backslashreplace") as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        train_and_test(data, out, config, resume=True)


@dataclass(frozen=True)
class _Scores:
    """The compared measures of a test.json."""

    weighted_f1: float
    macro_f1: float
    accuracy: float


@dataclass(frozen=True)
class _Test(_Scores):
    domains: dict[str, _Scores] = field(default_factory=dict)


def _measures(out: Path) -> Measures:
    if not (out / SCORES).exists():
        raise LesionliteError(f"{out} has no {SCORES}: the data folder needs a test/ to compare on")
    scores = read_record(out / SCORES, _Test, extra=True, advice="delete the folder")
    domains = {f"weighted F1, {n}": s.weighted_f1 for n, s in scores.domains.items()}
    return {
        "weighted F1": scores.weighted_f1,
        **domains,
        "macro F1": scores.macro_f1,
        "accuracy": scores.accuracy,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)

    def parse() -> Compare:
        return read_flags(Compare, given, "python -m lesionlite.train.trials.compare")

    return respond(given, parse)


if __name__ == "__main__":
    sys.exit(main())
