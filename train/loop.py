"""The training loop: weighted sampling and loss, cosine schedule, early stopping, resume."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lesionlite.console import progress, say
from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.files import write_json
from lesionlite.layout import CURVES, OF_TRAINING, SETTINGS
from lesionlite.outputs import list_as_ours
from lesionlite.train import checkpoint
from lesionlite.train.augment import epoch_seed, training_loader
from lesionlite.train.calibrate.calibrate import Calibrated
from lesionlite.train.config import TrainConfig
from lesionlite.train.data.images import Pixels
from lesionlite.train.data.splits import Dataset
from lesionlite.train.devices.device import pick_device, suit_cpu, use_bf16
from lesionlite.train.devices.ranks import (
    SINGLE,
    Ranks,
    attempt,
    average_buffers,
    data_parallel,
    device_of_rank,
    gather,
    on_first_rank,
)
from lesionlite.train.figures import draw_curves
from lesionlite.train.finish import finish
from lesionlite.train.history import epoch_line, write_history
from lesionlite.train.model import moving_average, predict_logits, save_run, start_weights
from lesionlite.train.networks import build_network
from lesionlite.train.objective.distill import Teacher, load_teacher
from lesionlite.train.objective.imbalance import MODES, effective_prior
from lesionlite.train.objective.loss import Loss
from lesionlite.train.objective.mixup import draw_mixture
from lesionlite.train.objective.optimize import optimizer_of
from lesionlite.train.objective.refit import head_of
from lesionlite.train.validate import read_validation, validate


class Trainer:
    """One training run: network, optimizer, schedule, and the number of finished epochs.

    When several processes train, each has its own trainer. Their weights are equal at every step.
    """

    def __init__(
        self,
        data: Dataset,
        contract: Contract,
        config: TrainConfig,
        run: Path,
        ranks: Ranks = SINGLE,
    ) -> None:
        torch.manual_seed(config.seed)
        self.data, self.contract, self.config, self.run = data, contract, config, run
        self.ranks = ranks
        self.device = attempt(ranks, lambda: device_of_rank(ranks, pick_device(config.device)))
        self.bf16 = use_bf16(config.bf16, self.device)
        network = self._starting_network()
        if self.device.type == "cpu":
            suit_cpu(network, self.bf16)
        self.layout = torch.channels_last
        self.network = network.to(self.device, memory_format=self.layout)  # type: ignore[call-overload]
        self.parallel = data_parallel(self.network, ranks)
        self.loader, self.sampler = training_loader(
            data.train, contract, config, self.device.type == "cpu", ranks
        )
        self.average = moving_average(self.network, config.ema) if config.ema else None
        steps = config.epochs * len(self.loader)
        self.optimizer, self.schedule = optimizer_of(self.network, config, steps)
        self.loss = Loss(config, data.train.counts(), self.device, self._teacher(), ranks)
        self.epoch, self.best_score, self.best_epoch = 0, -1.0, 0
        self.best_val_weighted_f1: float | None = None
        self.history: list[dict[str, Any]] = []
        self.val_pixels: Pixels | None = None

    def _starting_network(self) -> nn.Module:
        """Build the network and load its starting weights.

        Only the first process loads them; `data_parallel` copies them to the others.
        """
        config, classes = self.config, len(self.data.labels)
        network = attempt(
            self.ranks,
            lambda: build_network(config.model, classes, config.drop_path, self.contract.side),
        )
        keep_head = config.epochs == 0  # nothing will be trained
        start = partial(
            start_weights, network, config.model, config.weights, keep_head, config.weights_ema
        )
        say(on_first_rank(self.ranks, start))
        if MODES[config.imbalance].refits:
            attempt(self.ranks, lambda: head_of(network, config.model))
        return network

    def _teacher(self) -> Teacher | None:
        config, counts = self.config, self.data.train.counts()
        if not config.teacher:
            return None
        prior = effective_prior(counts, config.imbalance, config.beta)
        load = partial(load_teacher, config.teacher, self.contract, prior)
        return attempt(self.ranks, load).to(self.device, self.bf16)

    def restore(self) -> None:
        """Continue after the last finished epoch, if there is a checkpoint.

        Raises:
            LesionliteError: if the checkpoint is damaged, or belongs to another network.
        """
        read = partial(checkpoint.read_newest, self.run, torch.device("cpu"))
        state = on_first_rank(self.ranks, read)
        if state is None:
            return
        attempt(self.ranks, partial(checkpoint.load_into, self, state))
        say(f"resuming after epoch {self.epoch}")
        on_first_rank(self.ranks, self._rewrite_files)

    def _rewrite_files(self) -> None:
        """Write the files that a killed process may not have written after its last checkpoint."""
        for name in OF_TRAINING:  # runs of older versions have no list of the files they wrote
            if (self.run / name).exists():
                list_as_ours(self.run / name)
        if self.best_epoch == self.epoch:
            self._save()
        self._write_metrics()

    def save_checkpoint(self) -> None:
        """Save everything that `restore` needs, atomically."""
        checkpoint.save(self.run, checkpoint.state_dict_of(self))

    @property
    def result(self) -> nn.Module:
        """The network to evaluate and save: the moving average of the weights, if configured."""
        return self.network if self.average is None else self.average.module  # type: ignore[no-any-return]

    def settings(self, found: Calibrated | None = None) -> dict[str, Any]:
        """The content of `train.json`: the settings that rebuild the network, and the results."""
        return {
            "finished": found is not None,
            **asdict(self.config),
            "counts": dict(zip(self.data.labels, self.data.train.counts(), strict=True)),
            "epochs_run": self.epoch,
            "best_epoch": self.best_epoch,
            "best_val_weighted_f1": self.best_val_weighted_f1,
            **(found.document() if found else {}),
        }

    def fit(self, begin: Callable[[], object] = lambda: None) -> None:
        """Train until all epochs are done or validation stops improving.

        Args:
            begin: the first process calls this once all checks have passed.
        """
        read = partial(read_validation, self.data.val, self.contract, self.ranks)
        self.val_pixels = attempt(self.ranks, read)
        if self.config.epochs == 0:
            self._validate()  # refuses a network whose outputs are not finite
        on_first_rank(self.ranks, begin)
        if self.config.epochs == 0:
            on_first_rank(self.ranks, self._save)
        patience, first, began = self.config.patience, self.epoch, time.perf_counter()
        while self.epoch < self.config.epochs and self.epoch - self.best_epoch < patience:
            row = self._epoch()
            score = row[self.config.select]  # the same in all processes
            better = score > self.best_score
            if better:
                self.best_score, self.best_epoch = score, row["epoch"]
                self.best_val_weighted_f1 = row["weighted_f1"]
            each = (time.perf_counter() - began) / (self.epoch - first)
            left = each * (self.config.epochs - self.epoch)
            on_first_rank(self.ranks, partial(self._record, row, better, left))
        on_first_rank(self.ranks, self._finish)

    def _save(self) -> None:
        save_run(self.run, self.result, self.contract, self.settings())

    def _finish(self) -> None:
        """Complete the best network and its contract; the run is finished with its settings."""
        assert self.val_pixels is not None
        found = finish(self.run, self.data, self.val_pixels, self.config)
        if MODES[self.config.imbalance].refits:
            self.best_val_weighted_f1 = found.val_weighted_f1
        write_json(self.run / SETTINGS, self.settings(found.calibrated))
        checkpoint.delete(self.run)

    def _epoch(self) -> dict[str, Any]:
        started, seen = time.perf_counter(), 0
        torch.manual_seed(epoch_seed(self.config.seed, self.epoch, self.ranks.rank))
        self.sampler.epoch = self.epoch
        self.network.train()
        total = 0.0
        with progress() as bar:
            task = bar.add_task(
                f"epoch {self.epoch + 1}/{self.config.epochs}", total=len(self.loader), note=""
            )
            for step, (pixels, targets, indices) in enumerate(self.loader, start=1):
                loss = self.step(pixels.to(self.device), targets.to(self.device), indices)
                total, seen = total + loss, seen + len(indices)
                bar.update(task, advance=1, note=f"loss {total / step:.3f}")
        say(f"{seen * self.ranks.world / (time.perf_counter() - started):.0f} images/s")
        average_buffers(self.network, self.ranks)
        if self.average is not None:
            average_buffers(self.average.module, self.ranks)
        self.epoch += 1
        return {
            "epoch": self.epoch,
            "train_loss": total / len(self.loader),
            **self._validate(),
            "lr": max(self.schedule.get_last_lr()),
        }

    def step(self, pixels: Tensor, targets: Tensor, indices: Tensor) -> float:
        """Update the weights once, and return the loss over the batch of all processes.

        Args:
            pixels: uint8 [B, 3, S, S] on the device; this process's part of the batch.
            targets: class indices, int64 [B], on the device.
            indices: of the images in the training split, int64 [B].

        Raises:
            LesionliteError: if the loss or the gradient is not finite; it names step and files.
        """
        mixture = draw_mixture(len(targets), self.config.mixup, self.ranks)
        pixels = mixture.images(pixels)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = predict_logits(self.parallel, pixels, self.contract, self.layout)
        loss, value = self.loss(logits, mixture.targets(targets), pixels)
        self._refuse_infinite("loss", value, indices)
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        self._refuse_infinite("gradient's norm", float(norm), indices)
        self.optimizer.step()
        self.schedule.step()
        if self.average is not None:
            self.average.update(self.network, self.schedule.last_epoch)
        return value

    def _refuse_infinite(self, what: str, value: float, indices: Tensor) -> None:
        if math.isfinite(value):
            return
        step = self.schedule.last_epoch % len(self.loader) + 1
        of_all = chain.from_iterable(gather(self.ranks, indices.tolist()))
        files = [self.data.train.files[index] for index in of_all]
        shown = ", ".join(str(file) for file in files[:3])

        def refuse() -> None:
            raise LesionliteError(
                f"the {what} became {value} in epoch {self.epoch + 1}, step {step}, on {shown} and "
                f"{len(files) - 3} more; the best checkpoint so far is kept in {self.run}; try a "
                "smaller --lr"
            )

        attempt(self.ranks, refuse)  # all processes have the same value, so all come here

    def _validate(self) -> dict[str, float]:
        assert self.val_pixels is not None
        return validate(
            self.result,
            self.val_pixels,
            self.data.val,
            self.contract,
            self.loss.weights,
            self.loss.log_prior,
            self.device,
            self.bf16,
            self.ranks,
        )

    def _record(self, row: dict[str, Any], better: bool, left: float) -> None:
        """Save the checkpoint, then the network if it is the best so far, then the metrics.

        The checkpoint comes first and contains the data of all other files. If a later write fails
        or the process is killed, `restore` repeats it.
        """
        self.history.append(row)
        self.save_checkpoint()
        if better:
            self._save()
        self._write_metrics()
        say(epoch_line(row, self.config.select, better, left))

    def _write_metrics(self) -> None:
        """Write the metrics of all epochs so far, and draw their curves."""
        write_history(self.run, self.history)
        try:
            draw_curves(self.history, self.contract.note, self.run / CURVES)
        except (LesionliteError, OSError):
            raise
        except Exception as error:  # whatever matplotlib raises: a picture must not end training
            say(f"{CURVES} could not be drawn ({type(error).__name__}: {error})")
